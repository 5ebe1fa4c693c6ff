"""What the doctor says about what is installed, for each thing that a command may answer."""

from collections.abc import Mapping, Sequence

import pytest

from tools.doctor import machine
from tools.doctor.findings import Finding, Status
from tools.doctor.machine import Ran, Run

NO_DAEMON = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock."


def answers(by_command: Mapping[str, Ran]) -> Run:
    """Commands by how they begin; every other one is not installed."""

    def run(command: Sequence[str]) -> Ran | None:
        text = " ".join(command)
        return next((ran for start, ran in by_command.items() if text.startswith(start)), None)

    return run


def said(finding: Finding) -> tuple[Status, str]:
    return finding.status, finding.found


def test_linux_is_right_and_everything_else_is_told_what_to_use() -> None:
    assert said(machine.operating_system("Linux", "6.1")) == (Status.OK, "Linux 6.1")
    for system in ("Windows", "Darwin"):
        finding = machine.operating_system(system, "1")
        assert finding.status is Status.WRONG
        assert "wsl" in finding.mend


@pytest.mark.parametrize(
    ("version", "status"), [((3, 13, 0), Status.OK), ((3, 12, 9), Status.WRONG), ((3, 14, 1), Status.WRONG)]
)
def test_python_must_be_3_13(version: tuple[int, ...], status: Status) -> None:
    finding = machine.python(version)
    assert finding.status is status
    assert finding.found.startswith(".".join(map(str, version)))


def test_packages_that_are_missing_are_named() -> None:
    assert machine.packages([]).status is Status.OK
    finding = machine.packages(["uvloop", "aiohttp"])
    assert said(finding) == (Status.WRONG, "not installed: aiohttp, uvloop")
    assert "pip install -r requirements.lock" in finding.mend


@pytest.mark.parametrize(
    ("ran", "status", "found"),
    [
        (None, Status.WRONG, "not installed"),
        (Ran(0, "4.14.0\n"), Status.OK, "4.14.0"),
        (Ran(0, "4.4.0\n"), Status.OK, "4.4.0"),
        (Ran(0, "4.0.7512\n"), Status.WRONG, "4.0.7512, 4.4.0 is needed"),
        (Ran(0, "hello\n"), Status.WRONG, "func --version fails: hello"),
        (Ran(124, "\n"), Status.WRONG, "func --version fails: no output"),
    ],
)
def test_core_tools_must_know_python_and_the_bundle(ran: Ran | None, status: Status, found: str) -> None:
    finding = machine.core_tools(answers({"func": ran} if ran else {}))
    assert said(finding) == (status, found)
    assert finding.mend == ("" if status is Status.OK else machine.INSTALL_CORE_TOOLS)


def test_docker_that_is_not_installed_is_one_finding() -> None:
    [finding] = machine.docker(answers({}))
    assert said(finding) == (Status.WRONG, "not installed")


def test_docker_without_its_daemon_and_with_an_old_compose_plugin_is_two() -> None:
    run = answers({"docker version": Ran(1, f"\n{NO_DAEMON}\n"), "docker compose": Ran(0, "v2.0.1")})
    daemon, compose = machine.docker(run)
    assert said(daemon) == (Status.WRONG, f"the daemon does not answer: {NO_DAEMON}")
    assert daemon.mend == machine.START_DOCKER
    assert said(compose) == (Status.WRONG, "2.0.1, 2.1.1 is needed")


@pytest.mark.parametrize("compose", [Ran(1, "docker: 'compose' is not a docker command."), Ran(0, "dev")])
def test_docker_without_the_compose_plugin_says_where_it_is(compose: Ran) -> None:
    run = answers({"docker version": Ran(0, "29.1.0\n"), "docker compose": compose})
    daemon, plugin = machine.docker(run)
    assert said(daemon) == (Status.OK, "29.1.0")
    assert said(plugin) == (Status.WRONG, "the plugin is not installed")


def test_docker_that_is_whole_is_right() -> None:
    run = answers({"docker version": Ran(0, "29.1.0\n"), "docker compose": Ran(0, "v5.0.2\n")})
    assert [finding.status for finding in machine.docker(run)] == [Status.OK, Status.OK]


def test_a_processor_for_which_there_is_no_sql_server_is_noted() -> None:
    assert machine.architecture("x86_64").status is Status.OK
    assert machine.architecture("aarch64").status is Status.NOTE


def test_node_is_missed_by_some_tests_only() -> None:
    assert said(machine.node(answers({"node": Ran(0, "v20.1.0\n")}))) == (Status.OK, "v20.1.0")
    assert machine.node(answers({})).status is Status.NOTE
