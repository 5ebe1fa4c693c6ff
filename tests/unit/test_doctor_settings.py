"""What the doctor says about local.settings.json."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from adapters.azure.connections import cosmos_connection, service_bus_connection
from adapters.notifications.settings import read_notification_settings
from core.settings import read_settings
from tools.doctor.findings import Finding, Status
from tools.doctor.settings import (
    COPY,
    FILE,
    STORAGE,
    local_settings,
    names_read_by,
    uses_scheduler,
    values_of,
)

EXAMPLE = values_of((Path(__file__).parents[2] / f"{FILE}.example").read_text())


def of_notifications(values: Mapping[str, str]) -> object:
    return read_notification_settings(values, "azure")


KNOWN = names_read_by(read_settings) | names_read_by(of_notifications)
READERS = (read_settings, of_notifications, service_bus_connection, cosmos_connection)


def checked(values: Mapping[str, object] | str, environment: Mapping[str, str] = {}) -> list[Finding]:
    text = values if isinstance(values, str) else json.dumps({"IsEncrypted": False, "Values": values})
    return local_settings(text, EXAMPLE, KNOWN, READERS, environment)


def only(findings: list[Finding]) -> Finding:
    [finding] = findings
    return finding


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in EXAMPLE.items() if name not in names}


def test_the_example_is_right_as_it_stands() -> None:
    finding = only(checked(EXAMPLE))
    assert (finding.status, finding.found) == (Status.OK, f"{len(EXAMPLE)} settings")


def test_a_file_that_is_not_there_is_copied() -> None:
    finding = only(local_settings(None, EXAMPLE, KNOWN, READERS, {}))
    assert (finding.status, finding.mend) == (Status.WRONG, COPY)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[]", "object with an object `Values`"),
        ('{"Values": []}', "object with an object `Values`"),
        ('{"Values": {"A": 1}}', "Values.A: must be a string"),
        ('{"IsEncrypted": true, "Values": {}}', "encrypted"),
    ],
)
def test_a_file_that_cannot_be_read_is_said_why(text: str, says: str) -> None:
    finding = only(checked(text))
    assert finding.status is Status.WRONG
    assert says in finding.found
    assert finding.mend


def test_a_missing_setting_is_named_once() -> None:
    finding = only(checked(without("ServiceBusConnection")))
    assert (finding.status, finding.found) == (Status.WRONG, "ServiceBusConnection is missing")


def test_an_identity_stands_for_a_connection_string() -> None:
    values = without("CosmosConnection") | {
        "CosmosConnection__accountEndpoint": "https://x.documents.azure.com/"
    }
    assert only(checked(values)).status is Status.OK


def test_overrides_of_host_json_and_what_has_a_default_may_be_left_out() -> None:
    values = without("ORDERFLOW_LOG_LEVEL", *(name for name in EXAMPLE if name.startswith(STORAGE)))
    assert only(checked(values)).status is Status.OK


def test_the_adapters_may_not_be_left_out_because_their_default_is_the_emulator() -> None:
    finding = only(checked(without("ORDERFLOW_ADAPTERS")))
    assert (finding.status, finding.found) == (Status.WRONG, "ORDERFLOW_ADAPTERS is missing")


def test_an_unknown_setting_of_the_app_is_named() -> None:
    finding = only(checked(EXAMPLE | {"ORDERFLOW_STEP_TIMEOUT": "3"}))
    assert (finding.status, finding.found) == (
        Status.WRONG,
        "ORDERFLOW_STEP_TIMEOUT: there is no such setting",
    )


def test_a_value_that_the_app_refuses_is_named_in_its_words() -> None:
    finding = only(checked(EXAMPLE | {"ORDERFLOW_STEP_ATTEMPTS": "none"}))
    assert finding.status is Status.WRONG
    assert finding.found.startswith("ORDERFLOW_STEP_ATTEMPTS: must be a whole number")


def test_a_connection_string_that_is_cut_off_is_named_and_not_quoted() -> None:
    finding = only(checked(EXAMPLE | {"CosmosConnection": "AccountKey=c2VjcmV0"}))
    assert finding.status is Status.WRONG
    assert finding.found.startswith("CosmosConnection: ")
    assert "c2VjcmV0" not in finding.found


def test_embedded_adapters_cannot_run_there() -> None:
    finding = only(checked(EXAMPLE | {"ORDERFLOW_ADAPTERS": "embedded"}))
    assert (finding.status, finding.mend) == (Status.WRONG, "set it to azure")


def test_the_hub_of_the_scheduler_must_be_the_hub_of_the_app() -> None:
    scheduler = {name: value for name, value in EXAMPLE.items() if not name.startswith(STORAGE)}
    assert uses_scheduler(scheduler)
    assert not uses_scheduler(EXAMPLE)
    assert not uses_scheduler({})
    finding = only(checked(scheduler | {"TASKHUB_NAME": "other"}))
    assert finding.status is Status.WRONG
    assert "is 'default', TASKHUB_NAME is 'other'" in finding.found
    assert only(checked(EXAMPLE | {"TASKHUB_NAME": "other"})).status is Status.OK


def test_a_variable_that_wins_over_the_file_is_noted() -> None:
    finding = only(checked(EXAMPLE, {"TASKHUB_NAME": "mine", "ORDERFLOW_LOG_LEVEL": "INFO"}))
    assert (finding.status, finding.mend) == (Status.NOTE, "unset TASKHUB_NAME")


def test_every_setting_of_the_app_is_found_by_asking_its_reader() -> None:
    assert {"ORDERFLOW_ADAPTERS", "ORDERFLOW_STEP_TIMEOUT_SECONDS", "ORDERFLOW_LOG_LEVEL"} <= KNOWN
    root = Path(__file__).parents[2]
    readme = (root / "README.md").read_text()
    # Those of one channel, and of the outside calls, are on pages that their own tests hold to be complete.
    elsewhere = names_read_by(of_notifications) - names_read_by(read_settings)
    elsewhere |= {name for name in KNOWN if re.match("ORDERFLOW_(GATEWAY|CARRIER|SENDER)_", name)}
    assert [name for name in KNOWN - elsewhere if f"`{name}`" not in readme] == []
