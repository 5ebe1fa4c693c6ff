"""What is installed: the system, Python, Core Tools, Docker, Node."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tools.doctor.findings import Finding, note, ok, wrong

PYTHON = (3, 13)
CORE_TOOLS = (4, 4, 0)
"""Of October 2025, when the extension bundle that host.json asks for (4.30) came out. Python 3.13 is known
since 4.0.7512 (https://github.com/Azure/azure-functions-core-tools/pull/4454)."""
COMPOSE = (2, 1, 1)
"""The first with `up --wait`."""

INSTALL_CORE_TOOLS = "npm install -g azure-functions-core-tools@4"
INSTALL_DOCKER = "https://docs.docker.com/engine/install/"
INSTALL_COMPOSE = "https://docs.docker.com/compose/install/linux/"
START_DOCKER = "sudo systemctl start docker, or Docker Desktop"


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    output: str
    """Of both streams."""


type Run = Callable[[Sequence[str]], Ran | None]
"""Runs a command; None when there is none of that name."""


def operating_system(system: str, release: str) -> Finding:
    if system == "Linux":
        return ok("system", f"{system} {release}")
    found = f"{system}: the embedded emulator needs Linux (SO_REUSEPORT, flock)"
    return wrong("system", found, "on Windows: wsl --install; on a Mac: a Linux container or machine")


def python(version: Sequence[int]) -> Finding:
    found = ".".join(map(str, version[:3]))
    if tuple(version[:2]) == PYTHON:
        return ok("Python", found)
    return wrong(
        "Python", f"{found}, 3.13 is needed", "make clean, then make PYTHON=/path/to/python3.13 doctor"
    )


def packages(missing: Iterable[str]) -> Finding:
    """`missing`: modules of requirements.lock that cannot be found."""
    names = ", ".join(sorted(missing))
    if not names:
        return ok("packages", "those of requirements.lock are there")
    return wrong(
        "packages", f"not installed: {names}", ".venv/bin/python -m pip install -r requirements.lock"
    )


def core_tools(run: Run) -> Finding:
    ran = run(["func", "--version"])
    if ran is None:
        return wrong("Core Tools", "not installed", INSTALL_CORE_TOOLS)
    version = version_in(ran.output)
    if ran.code != 0 or version is None:
        return wrong("Core Tools", f"func --version fails: {_first_line(ran.output)}", INSTALL_CORE_TOOLS)
    if version < CORE_TOOLS:
        return wrong("Core Tools", f"{_dotted(version)}, {_dotted(CORE_TOOLS)} is needed", INSTALL_CORE_TOOLS)
    return ok("Core Tools", _dotted(version))


def docker(run: Run) -> list[Finding]:
    """Client, daemon and compose plugin; what cannot be asked is left out."""
    ran = run(["docker", "version", "--format", "{{.Server.Version}}"])
    if ran is None:
        return [wrong("Docker", "not installed", INSTALL_DOCKER)]
    if ran.code != 0:
        found = [wrong("Docker", f"the daemon does not answer: {_first_line(ran.output)}", START_DOCKER)]
    else:
        found = [ok("Docker", ran.output.strip())]
    return [*found, _compose(run)]


def _compose(run: Run) -> Finding:
    ran = run(["docker", "compose", "version", "--short"])
    version = None if ran is None or ran.code != 0 else version_in(ran.output)
    if version is None:
        return wrong("docker compose", "the plugin is not installed", INSTALL_COMPOSE)
    if version < COMPOSE:
        return wrong("docker compose", f"{_dotted(version)}, {_dotted(COMPOSE)} is needed", INSTALL_COMPOSE)
    return ok("docker compose", _dotted(version))


def architecture(machine: str) -> Finding:
    if machine in {"x86_64", "AMD64"}:
        return ok("processor", machine)
    found = f"{machine}: the SQL Server image is made for x86-64 only, it may run emulated or not at all"
    return note(
        "processor", found, "Docker Desktop: turn on Rosetta; or run make emulators on an x86-64 machine"
    )


def node(run: Run) -> Finding:
    ran = run(["node", "--version"])
    if ran is None or ran.code != 0:
        return note("Node", "not installed: the tests with JavaScript SDKs are skipped", "https://nodejs.org")
    return ok("Node", ran.output.strip())


def version_in(text: str) -> tuple[int, int, int] | None:
    """The first x.y.z."""
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", text)
    return None if found is None else (int(found[1]), int(found[2]), int(found[3]))


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no output")[:120]
