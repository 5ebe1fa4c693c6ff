"""docs/audit.md says of every request that changes something where it is on record."""

import re
from pathlib import Path

from core.contracts import contract_name
from services.audit.ends import CHAINS
from services.audit.trail import REFUSALS
from services.payments.messages import Declined, PartRefundRefused
from services.shipping.messages import ShipmentRefused
from triggers.http.every_route import ROUTES

PAGE = (Path(__file__).parents[2] / "docs" / "audit.md").read_text()
STEPS = "POST /api/operations/returns/{return_id}"


def test_every_request_that_changes_something_is_on_the_page() -> None:
    on_one_line = " ".join(PAGE.split())
    named = set(re.findall(r"`((?:POST|PUT|DELETE|PATCH) /api/[^`]+)`", on_one_line))
    named |= {f"{STEPS}{step}" for step in re.findall(r"`(/[a-z]+)`", PAGE)}
    asked = {f"{route.method} /api/{route.path}" for route in ROUTES if route.method != "GET"}
    assert named == asked


def test_every_chain_is_on_the_page() -> None:
    for chain in CHAINS:
        assert f"| `{chain}` |" in PAGE


def test_refusals_are_events_that_there_are() -> None:
    assert {contract_name(event) for event in (Declined, PartRefundRefused, ShipmentRefused)} == REFUSALS
    for event in REFUSALS:
        assert f"`{event}`" in PAGE
