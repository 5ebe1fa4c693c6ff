"""docker-compose.yml, as far as it can be looked at without Docker and without a YAML parser.

It is written plainly so that this suffices: two spaces a level, one service a block, strings that YAML takes
as they are.
"""

import re
from collections.abc import Mapping

import pytest

from tests.conformance.indexed import PROJECT
from tools.doctor.endpoints import EMULATORS, SCHEDULER

TEXT = (PROJECT / "docker-compose.yml").read_text()
PUBLISHED = re.compile(r'^      - "([\d.]+):(\d+):(\d+)"', re.MULTILINE)


def services() -> Mapping[str, str]:
    """The block of each, by name."""
    _, _, body = TEXT.partition("\nservices:\n")
    parts = re.split(r"^  ([a-z-]+):.*$", body, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_the_services_are_the_emulators_and_what_they_need() -> None:
    wanted = {"azurite", "sql", "servicebus", "servicebus-health", "cosmos", "scheduler", "scheduler-health"}
    assert services().keys() == wanted


@pytest.mark.parametrize("name", services())
def test_every_image_is_pinned_to_a_tag_that_does_not_move(name: str) -> None:
    [image] = re.findall(r"^    image: (\S+)$", services()[name], re.MULTILINE)
    assert image.startswith("mcr.microsoft.com/")
    _, _, tag = image.rpartition(":")
    assert re.search(r"\d", tag), image
    assert not re.search(r"latest|preview", tag), image


def test_ports_are_for_this_machine_only_and_do_not_clash() -> None:
    published = PUBLISHED.findall(TEXT)
    assert {address for address, _, _ in published} == {"127.0.0.1"}
    ports = [int(port) for _, port, _ in published]
    assert len(ports) == len(set(ports))
    assert 7071 not in ports, "the Functions host's own"


def test_the_doctor_looks_at_every_port() -> None:
    by_service = {
        name: {int(port) for _, port, _ in PUBLISHED.findall(block)} for name, block in services().items()
    }
    for endpoint in (*EMULATORS, *SCHEDULER):
        by_service[endpoint.service].remove(endpoint.port)
    assert [name for name, ports in by_service.items() if ports] == []


def test_the_service_bus_emulator_reads_the_topology_itself() -> None:
    [mount] = re.findall(r"^      - (\./\S+)$", services()["servicebus"], re.MULTILINE)
    source, target, mode = mount.split(":")
    assert (PROJECT / source).samefile(PROJECT / "topology" / "servicebus.json")
    assert (target, mode) == ("/ServiceBus_Emulator/ConfigFiles/Config.json", "ro")


def test_every_emulator_has_a_health_check_that_can_run_in_its_image() -> None:
    """No shell and no HTTP client in the image of Service Bus, nothing known of the scheduler's: another
    container looks at these."""
    checked = {name for name, block in services().items() if "    healthcheck:" in block}
    assert services().keys() - checked == {"servicebus", "scheduler"}
    for name in ("servicebus", "scheduler"):
        watcher = services()[f"{name}-health"]
        assert f"depends_on:\n      - {name}\n" in watcher
        assert name in watcher.partition("healthcheck:")[2]


def test_the_scheduler_starts_only_when_it_is_asked_for() -> None:
    optional = {name for name, block in services().items() if "profiles: [scheduler]" in block}
    assert optional == {"scheduler", "scheduler-health"}


def test_no_password_but_a_default_for_this_machine() -> None:
    passwords = re.findall(r"^\s+\w*PASSWORD: (.*)$", TEXT, re.MULTILINE)
    assert passwords == ["${ORDERFLOW_SQL_PASSWORD:-Local-only-1}"] * 2
    assert not PUBLISHED.search(services()["sql"]), "nobody but the emulator talks to it"
    assert "AccountKey" not in TEXT


def test_the_default_password_is_one_that_sql_server_takes() -> None:
    [default] = set(re.findall(r"PASSWORD:-(\S+)\}", TEXT))
    kinds = (r"[a-z]", r"[A-Z]", r"\d", r"[^a-zA-Z0-9]")
    assert len(default) >= 8
    assert sum(bool(re.search(kind, default)) for kind in kinds) >= 3
