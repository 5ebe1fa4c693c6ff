"""What a trigger reads from is in topology/, and nothing is there that nothing reads."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from adapters.azure import blobs as azure_blobs
from adapters.embedded import blobs as embedded_blobs
from tests.conformance.indexed import PROJECT, Indexed

WITHOUT_TRIGGER = {"parked": "an operator looks at it; it moves on to its dead letters"}


def triggers(functions: list[Indexed], type_: str) -> dict[str, Mapping[str, Any]]:
    return {each.name: each.trigger for each in functions if each.trigger["type"] == type_}


def test_every_queue_of_a_trigger_is_there_and_every_other_one_has_a_reason(
    functions: list[Indexed], bus: Mapping[str, Any]
) -> None:
    read = [
        each["queueName"] for each in triggers(functions, "serviceBusTrigger").values() if "queueName" in each
    ]
    assert len(read) == len(set(read)), "two functions would share the messages of a queue"
    assert {*read, *WITHOUT_TRIGGER} == {queue["Name"] for queue in bus["Queues"]}


def test_every_subscription_has_one_trigger(functions: list[Indexed], bus: Mapping[str, Any]) -> None:
    read = [
        (each["topicName"], each["subscriptionName"])
        for each in triggers(functions, "serviceBusTrigger").values()
        if "topicName" in each
    ]
    there = [(topic["Name"], each["Name"]) for topic in bus["Topics"] for each in topic["Subscriptions"]]
    assert sorted(read) == sorted(there)


def test_every_container_of_a_trigger_and_its_leases_are_there(
    functions: list[Indexed], cosmos: Mapping[str, Any]
) -> None:
    containers = {each["name"]: each["partitionKey"] for each in cosmos["containers"]}
    for name, trigger in triggers(functions, "cosmosDBTrigger").items():
        assert trigger["databaseName"] == cosmos["database"], name
        assert trigger["containerName"] in containers, name
        # What the extension's own leases need, when it does not create their container itself.
        assert containers[trigger["leaseContainerName"]] == "/id", name
        assert "leaseDatabaseName" not in trigger, name
        assert "leaseConnection" not in trigger, name


def test_no_two_functions_share_their_leases(functions: list[Indexed]) -> None:
    """Two that do share the changes of the feed: each gets a part of them."""
    owners = Counter(
        (each["leaseContainerName"], each["leaseContainerPrefix"])
        for each in triggers(functions, "cosmosDBTrigger").values()
    )
    assert len(owners) == 7
    assert set(owners.values()) == {1}


def test_the_container_of_the_blobs_is_there() -> None:
    storage = json.loads((PROJECT / "topology" / "storage.json").read_text())
    assert storage == {"blobContainers": [azure_blobs.CONTAINER]}
    assert embedded_blobs.CONTAINER == azure_blobs.CONTAINER
