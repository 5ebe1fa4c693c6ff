"""The table of the AMQP endpoint's duties names tests that there are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "servicebus-protocol-tests.md"
WITH_THE_SDK = (
    *(f"wire/test_amqp_{name}.py" for name in ("connection", "management", "names", "receive", "restart")),
    *(f"wire/test_amqp_{name}.py" for name in ("send", "tokens")),
    "contract/test_azure_bus.py",
    "contract/bus_suite.py",
)
ROW = re.compile(r"^\| ([A-Z]\d+) \| (.+) \| (.+) \|$", re.MULTILINE)


def named_in(files: list[Path]) -> set[str]:
    return {name for file in files for name in re.findall(r"def (test_\w+)", file.read_text())}


def test_every_test_that_the_table_names_is_there_and_speaks_as_it_says() -> None:
    with_the_sdk = named_in([ROOT / "tests" / name for name in WITH_THE_SDK])
    anywhere = named_in([*(ROOT / "tests" / "wire").glob("test_amqp_*.py")])
    rows = ROW.findall(TABLE.read_text())
    assert len(rows) > 60
    for number, demand, tests in rows:
        for raw, name in re.findall(r"(raw )?`(test_\w+)`", tests):
            known = anywhere if raw else with_the_sdk
            assert name in known, f"{number} ({demand}): there is no {name}"


def test_every_duty_has_a_number_of_its_own() -> None:
    numbers = [number for number, *_ in ROW.findall(TABLE.read_text())]
    assert len(numbers) == len(set(numbers))
