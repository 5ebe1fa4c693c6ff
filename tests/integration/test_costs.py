"""What docs/azure-adapters.md says that an order costs is what it costs."""

import re

import pytest

from tools.costs import Row, costs
from tools.emulator_process import PROJECT

PAGE = PROJECT / "docs" / "azure-adapters.md"
PROJECTIONS = {"order-list": (1, 4), "stock-levels": (2, 4), "audit": (4, 11)}
"""By container, how many requests an order costs when all its changes come in one batch, and when each comes
alone."""
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


def container(what: str) -> str:
    return what.rpartition(" ")[2]


def of_handlers(costs: dict[str, Row]) -> dict[str, Row]:
    return {what: row for what, row in costs.items() if container(what) not in PROJECTIONS}


@pytest.mark.slow
async def test_an_order_costs_what_the_page_says() -> None:
    for said, measured in zip(quoted(), await costs(), strict=True):
        assert len(said) > 15
        assert of_handlers(said).keys() == of_handlers(measured).keys()
        for what, row in of_handlers(measured).items():
            assert row.number == said[what].number, what
            assert row.request_units == pytest.approx(said[what].request_units, abs=6), what
        for costs_ in (said, measured):
            for name, (least, most) in PROJECTIONS.items():
                number = sum(row.number for what, row in costs_.items() if container(what) == name)
                # One more stage of an order that is undone.
                assert least <= number <= most + 5, name
