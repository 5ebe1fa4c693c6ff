"""What docs/azure-adapters.md says that an order costs is what it costs."""

import re

import pytest

from tools.costs import Row, costs
from tools.emulator_process import PROJECT

PAGE = PROJECT / "docs" / "azure-adapters.md"
PROJECTIONS = frozenset({"order-list", "stock-levels"})
LINE = re.compile(
    r"^\| ((?:Cosmos DB|Service Bus|Durable): .+?) \| (\d*) \| (\d*) \| (\d*) \| (\d*) \|$", re.MULTILINE
)


def quoted() -> tuple[dict[str, Row], dict[str, Row]]:
    """Of the completed and of the compensated order; only what there is any of."""
    completed, compensated = {}, {}
    for what, number, units, other_number, other_units in LINE.findall(PAGE.read_text()):
        completed[what] = Row(int(number or 0), float(units or 0))
        compensated[what] = Row(int(other_number or 0), float(other_units or 0))
    return (
        {what: row for what, row in completed.items() if row.number},
        {what: row for what, row in compensated.items() if row.number},
    )


def is_projection(what: str) -> bool:
    return what.rpartition(" ")[2] in PROJECTIONS


@pytest.mark.slow
async def test_an_order_costs_what_the_page_says() -> None:
    for said, measured in zip(quoted(), await costs(), strict=True):
        assert len(said) > 15
        assert said.keys() == measured.keys()
        for what, row in measured.items():
            if is_projection(what):
                # At most one write for each event, fewer when events come together.
                assert 1 <= row.number <= said[what].number + 3, what
            else:
                assert row.number == said[what].number, what
                assert row.request_units == pytest.approx(said[what].request_units, abs=6), what
