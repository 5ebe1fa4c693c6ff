"""The settings of the policies: read for each kind of provider, refused by name, all on the page."""

import re
from pathlib import Path

import orjson
import pytest

from core.outside_limits import OutsideLimits
from core.settings import InvalidSetting, read_settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/resilience.md").read_text()
KINDS = ("GATEWAY", "CARRIER", "SENDER")
VALUES = {
    "TIMEOUT_SECONDS": "9",
    "ATTEMPT_SECONDS": "2",
    "ATTEMPTS": "3",
    "CIRCUIT_FAILURES": "6",
    "CIRCUIT_SECONDS": "7",
    "CONCURRENCY": "8",
    "QUEUE": "5",
}
READ = OutsideLimits(
    timeout_s=9, attempt_s=2, attempts=3, circuit_failures=6, circuit_s=7, concurrency=8, queue=5
)


@pytest.mark.parametrize("kind", KINDS[:2])
def test_every_limit_of_a_provider_is_read_and_no_other_changes(kind: str) -> None:
    settings = read_settings({f"ORDERFLOW_{kind}_{name}": value for name, value in VALUES.items()})
    found = {"GATEWAY": settings.gateway, "CARRIER": settings.carrier, "SENDER": settings.sender}
    assert found.pop(kind) == READ
    assert OutsideLimits() in found.values()


def test_a_sender_has_one_attempt_as_long_as_the_call() -> None:
    sender = read_settings({f"ORDERFLOW_SENDER_{name}": value for name, value in VALUES.items()}).sender
    assert (sender.timeout_s, sender.attempt_s, sender.attempts) == (9, 9, 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "value"),
    [("CIRCUIT_SECONDS", "31"), ("QUEUE", "0"), ("CONCURRENCY", "many"), ("TIMEOUT_SECONDS", "0")],
)
def test_a_limit_that_is_none_is_refused_by_name(kind: str, name: str, value: str) -> None:
    with pytest.raises(InvalidSetting, match=f"^ORDERFLOW_{kind}_{name}: must be"):
        read_settings({f"ORDERFLOW_{kind}_{name}": value})


def test_every_setting_is_on_the_page_and_in_the_example_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `\.\.\._([A-Z_]+)` \| `(\d+)` \|", PAGE, re.MULTILINE))
    assert rows.keys() == VALUES.keys()
    example = orjson.loads((ROOT / "local.settings.json.example").read_bytes())["Values"]
    named = {
        name: value for name, value in example.items() if re.match(rf"ORDERFLOW_({'|'.join(KINDS)})_", name)
    }
    assert named == {
        f"ORDERFLOW_{kind}_{name}": value
        for kind in KINDS
        for name, value in rows.items()
        if kind != "SENDER" or not name.startswith("ATTEMPT")
    }
    assert read_settings(named) == read_settings({})
