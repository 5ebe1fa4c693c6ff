"""What the doctor says about queues, topics, subscriptions and containers, and how it shows what it found."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.doctor.entities import (
    NoConnectionFree,
    Unreachable,
    blob_containers,
    bus_entities,
    containers,
    entity_names,
)
from tools.doctor.findings import Place, Status, note, ok, report, wrong

PROJECT = Path(__file__).parents[2]
BUS = json.loads((PROJECT / "topology" / "servicebus.json").read_bytes())
COSMOS = json.loads((PROJECT / "topology" / "cosmos.json").read_bytes())
STORAGE = json.loads((PROJECT / "topology" / "storage.json").read_bytes())
KEYS = {each["name"]: each["partitionKey"] for each in COSMOS["containers"]}


def refused(names: Sequence[str]) -> Mapping[str, str]:
    raise Unreachable("localhost: wrong key")


def test_names_are_those_of_queues_topics_and_subscriptions() -> None:
    names = list(entity_names(BUS))
    assert {"inventory", "parked", "order-events", "order-events/Subscriptions/inventory"} <= set(names)


def test_entities_that_are_all_there_are_counted() -> None:
    wanted = list(entity_names(BUS))
    finding = bus_entities(lambda names: names, wanted)
    assert finding == ok("Service Bus", f"{len(wanted)} queues, topics and subscriptions")


def test_an_entity_that_is_not_there_is_named() -> None:
    finding = bus_entities(lambda names: [name for name in names if name != "parked"], entity_names(BUS))
    assert (finding.status, finding.found) == (Status.WRONG, "not there: parked")
    assert "make emulators" in finding.mend


def test_a_bus_that_refuses_is_quoted() -> None:
    finding = bus_entities(lambda names: list(refused(names)), entity_names(BUS))
    assert (finding.status, finding.found) == (Status.WRONG, "localhost: wrong key")


def test_a_bus_whose_connections_are_taken_is_no_fault_and_named() -> None:
    def taken(names: Sequence[str]) -> Sequence[str]:
        raise NoConnectionFree("localhost: quota")

    finding = bus_entities(taken, entity_names(BUS))
    assert finding.status is Status.NOTE
    assert "every connection that it gives is taken" in finding.found
    assert "make doctor" in finding.mend


def test_containers_that_are_all_there_are_counted() -> None:
    assert containers(lambda names: KEYS, COSMOS) == ok("Cosmos DB", f"{len(KEYS)} containers")


def test_a_container_that_is_not_there_is_set_up() -> None:
    keys = {name: key for name, key in KEYS.items() if name not in {"leases", "orders"}}
    finding = containers(lambda names: keys, COSMOS)
    assert finding == wrong("Cosmos DB", "no container orders, leases in orderflow", "make setup")


def test_a_container_with_another_partition_key_is_named() -> None:
    finding = containers(lambda names: KEYS | {"leases": "/partition"}, COSMOS)
    assert finding.status is Status.WRONG
    assert "leases has /partition, not /id" in finding.found


def test_a_database_that_refuses_is_quoted() -> None:
    finding = containers(refused, COSMOS)
    assert (finding.status, finding.found) == (Status.WRONG, "localhost: wrong key")


def test_the_container_of_the_blobs_is_there_or_set_up() -> None:
    assert blob_containers(lambda names: names, STORAGE) == ok("blobs", "container orderflow")
    assert blob_containers(lambda names: [], STORAGE) == wrong(
        "blobs", "no container orderflow", "make setup"
    )


def test_blobs_that_refuse_are_quoted() -> None:
    finding = blob_containers(lambda names: list(refused(names)), STORAGE)
    assert (finding.status, finding.found) == (Status.WRONG, "localhost: wrong key")


def test_the_report_is_a_table_of_plain_text() -> None:
    here = Place("here", "make demo", [ok("a", "fine"), note("longer", "hm", "do")])
    there = Place("there", "make func", [wrong("b", "bad", "mend it"), wrong("c", "bad", "mend it")])
    assert list(report([here, there])) == [
        "here (make demo)",
        "  ok     a       fine",
        "  note   longer  hm",
        "                 -> do",
        "",
        "there (make func)",
        "  wrong  b       bad",
        "                 -> mend it",
        "  wrong  c       bad",
        "                 -> mend it",
        "",
        "here: can run",
        "there: 2 things to mend",
    ]


def test_it_runs_where_nothing_of_the_rest_is_installed() -> None:
    """Without a PATH there is no Docker, no Core Tools and no Node."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.doctor", "--port", "1"],
        cwd=PROJECT,
        env={"PATH": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "embedded emulator: can run" in done.stdout
    assert "Core Tools           not installed" in done.stdout
    assert done.stdout.isascii()
