"""topology/servicebus.json is a Config.json that the official emulator starts with, within its quotas."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.conformance.conftest import read_json
from tests.conformance.servicebus_emulator import refusals

CONFIG = read_json("topology", "servicebus.json")


def changed(change: Callable[[dict[str, Any]], None]) -> Any:
    """The file, with its namespace changed."""
    config = deepcopy(CONFIG)
    change(config["UserConfig"]["Namespaces"][0])
    return config


def of_queue(**properties: object) -> Any:
    return changed(lambda namespace: namespace["Queues"][0]["Properties"].update(properties))


def of_topic(**properties: object) -> Any:
    return changed(lambda namespace: namespace["Topics"][0]["Properties"].update(properties))


def of_subscription(**properties: object) -> Any:
    return changed(lambda namespace: subscription_of(namespace)["Properties"].update(properties))


def subscription_of(namespace: dict[str, Any]) -> dict[str, Any]:
    return namespace["Topics"][0]["Subscriptions"][0]


def rule_of(namespace: dict[str, Any]) -> dict[str, Any]:
    return subscription_of(namespace)["Rules"][0]["Properties"]


def many(number: int, first: dict[str, Any]) -> list[dict[str, Any]]:
    return [first | {"Name": f"e{n}"} for n in range(number)]


def many_rules(namespace: dict[str, Any]) -> None:
    for subscription in namespace["Topics"][0]["Subscriptions"]:
        subscription["Rules"] = many(501, subscription["Rules"][0])


def test_the_emulator_starts_with_our_file() -> None:
    assert list(refusals(CONFIG)) == []


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (changed(lambda it: it.update(Name="orderflow")), "Namespaces: must be one, sbemulatorns"),
        ({"UserConfig": {**CONFIG["UserConfig"], "Logging": {}}}, "Logging.Type"),
        (changed(lambda it: it.pop("Topics")), "Topics: is required"),
        (changed(lambda it: it.update(Queues=many(49, it["Queues"][0]))), "51 queues and topics"),
        (
            changed(
                lambda it: it["Topics"][0].update(Subscriptions=many(51, it["Topics"][0]["Subscriptions"][0]))
            ),
            "51 subscriptions: must be 1 to 50",
        ),
        (changed(lambda it: it["Topics"][0].update(Subscriptions=[])), "0 subscriptions: must be 1 to 50"),
        (changed(many_rules), "1002 correlation filters: must be at most 1000"),
        (of_queue(MaxDeliveryCount=20), "MaxDeliveryCount: must be 1 to 10, not 20"),
        (of_subscription(MaxDeliveryCount=0), "MaxDeliveryCount: must be 1 to 10, not 0"),
        (of_queue(MaxDeliveryCount=True), "MaxDeliveryCount: must be 1 to 10, not True"),
        (of_queue(DefaultMessageTimeToLive="P14D"), "DefaultMessageTimeToLive: must be a duration"),
        (of_topic(DefaultMessageTimeToLive="PT1H1S"), "DefaultMessageTimeToLive: must be a duration"),
        (of_subscription(DefaultMessageTimeToLive="PT1M"), "DefaultMessageTimeToLive: must be a duration"),
        (of_topic(DuplicateDetectionHistoryTimeWindow="PT10M"), "DuplicateDetectionHistoryTimeWindow: must"),
        (of_queue(LockDuration="PT6M"), "LockDuration: must be a duration of 5 to 300"),
        (of_subscription(LockDuration="PT2S"), "LockDuration: must be a duration of 5 to 300"),
        (of_queue(LockDuration="PT30.5S"), "LockDuration: must be a duration"),
        (of_queue(RequiresSession="false"), "RequiresSession: must be true or false"),
        (of_queue(ForwardTo="/x"), "ForwardTo: must be the name of an entity"),
        (of_topic(LockDuration="PT30S"), "LockDuration: no such property"),
        (changed(lambda it: it["Queues"][0].update(Name="-inventory")), "queue -inventory: not a name"),
        (
            changed(
                lambda it: it["Topics"][0]["Subscriptions"][0]["Rules"][0]["Properties"].pop(
                    "CorrelationFilter"
                )
            ),
            "needs at least one condition",
        ),
        (
            changed(lambda it: rule_of(it).update(CorrelationFilter={"Subject": "x"})),
            "Subject: no such property",
        ),
        (
            changed(
                lambda it: it["Topics"][0]["Subscriptions"][0]["Rules"][0]["Properties"].update(
                    FilterType="Sql"
                )
            ),
            "FilterType: must be Correlation",
        ),
    ],
)
def test_what_breaks_a_rule_or_a_quota_is_named(config: Any, says: str) -> None:
    found = list(refusals(config))
    assert any(says in refusal for refusal in found), found
