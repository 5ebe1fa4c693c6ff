"""Whether the queues, topics, subscriptions, containers and blob containers of topology/ are there."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from tools.doctor.findings import Finding, note, ok, wrong

type LookUpKeys = Callable[[Sequence[str]], Mapping[str, str]]
"""The partition key paths of those of these containers that are there. Raises Unreachable."""
type LookUpNames = Callable[[Sequence[str]], Sequence[str]]
"""Those of these (queues, topics and `topic/Subscriptions/name`; blob containers) that are there. Raises
Unreachable."""


class Unreachable(Exception):
    """The service did not answer, or refused the key; the message says so."""


class NoConnectionFree(Unreachable):
    """Those that the service gives are taken."""


def entity_names(topology: Mapping[str, Any]) -> Iterator[str]:
    """Of topology/servicebus.json."""
    [namespace] = topology["UserConfig"]["Namespaces"]
    for queue in namespace["Queues"]:
        yield queue["Name"]
    for topic in namespace["Topics"]:
        yield topic["Name"]
        for subscription in topic["Subscriptions"]:
            yield f"{topic['Name']}/Subscriptions/{subscription['Name']}"


def bus_entities(look_up: LookUpNames, names: Iterable[str]) -> Finding:
    wanted = list(names)
    mend = "make emulators-down emulators (the emulator reads topology/servicebus.json at its start only)"
    try:
        there = set(look_up(wanted))
    except NoConnectionFree as error:
        found = f"not looked at: every connection that it gives is taken ({error})"
        return note("Service Bus", found, "stop the make func that has them, then make doctor")
    except Unreachable as error:
        return wrong("Service Bus", str(error), "docker compose logs servicebus; ServiceBusConnection")
    missing = [name for name in wanted if name not in there]
    if missing:
        return wrong("Service Bus", f"not there: {', '.join(missing)}", mend)
    return ok("Service Bus", f"{len(wanted)} queues, topics and subscriptions")


def containers(look_up: LookUpKeys, topology: Mapping[str, Any]) -> Finding:
    """`topology`: topology/cosmos.json."""
    wanted = {each["name"]: each["partitionKey"] for each in topology["containers"]}
    try:
        found = look_up(list(wanted))
    except Unreachable as error:
        return wrong("Cosmos DB", str(error), "docker compose logs cosmos; CosmosConnection")
    missing = [name for name in wanted if name not in found]
    if missing:
        return wrong(
            "Cosmos DB", f"no container {', '.join(missing)} in {topology['database']}", "make setup"
        )
    other = [name for name, key in wanted.items() if found[name] != key]
    if other:
        text = ", ".join(f"{name} has {found[name]}, not {wanted[name]}" for name in other)
        # A container's partition key cannot be changed.
        return wrong("Cosmos DB", f"other partition keys: {text}", "make emulators-down emulators setup")
    return ok("Cosmos DB", f"{len(wanted)} containers")


def blob_containers(look_up: LookUpNames, topology: Mapping[str, Any]) -> Finding:
    """`topology`: topology/storage.json."""
    wanted: list[str] = topology["blobContainers"]
    try:
        there = look_up(wanted)
    except Unreachable as error:
        return wrong("blobs", str(error), "docker compose logs azurite; BlobConnection")
    missing = [name for name in wanted if name not in there]
    if missing:
        return wrong("blobs", f"no container {', '.join(missing)}", "make setup")
    return ok("blobs", f"container {', '.join(wanted)}")
