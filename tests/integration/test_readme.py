"""What the README and the pages in docs/ promise: their lines run, their tables are those of the code."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.settings import InvalidSetting, Settings, read_settings
from tools.demo import CASES
from tools.doctor.settings import names_read_by
from tools.emulator_process import ADAPTERS, PROJECT, running, with_adapters

LIMITS = re.compile("ORDERFLOW_(GATEWAY|CARRIER|SENDER)_")
PAGES = (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")))
MARK = "<!-- Run by tests/integration/test_readme.py -->"
FOLLOWS_S = 30.0
"""A read is tried again for so long: read models, and the order itself, follow by a moment."""

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")


@dataclass(frozen=True)
class Line:
    """A command with the answer that the page states for it. `status` None: it only must succeed."""

    command: str
    status: int | None
    body: Any = None

    @property
    def reads(self) -> bool:
        return not re.search(r" -(X|d) ", self.command)


def marked(page: Path) -> list[str]:
    """The fenced blocks under MARK."""
    return re.findall(rf"^{re.escape(MARK)}\n```sh\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def settings_and_lines(block: str) -> tuple[str, list[Line]]:
    """The assignments at the top, and the commands; each ends at its answer or at an empty line."""
    top, *parts = re.split(r"\n\n", block.strip())
    lines = []
    for part in parts:
        command, _, answer = part.partition("\n# ")
        status, _, body = answer.partition(" ")
        lines.append(
            Line(command, int(status) if status else None, json.loads(body) if body else None)
            if not status or status.isdecimal()
            else Line(part, None)
        )
    return top, lines


def run(command: str, top: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """`environment` wins over the assignments at the top of the block."""
    wins = "\n".join(f"{name}='{value}'" for name, value in environment.items())
    script = f"set -o pipefail\n{top}\n{wins}\n{command}"
    return subprocess.run(
        ["bash", "-c", script], cwd=PROJECT, capture_output=True, text=True, timeout=90, check=False
    )


def answered(line: Line, top: str, environment: Mapping[str, str]) -> str:
    """Empty when the answer is the one that the page states, else what it is."""
    done = run(line.command, top, environment)
    if done.returncode != 0:
        return f"exit code {done.returncode}: {done.stdout}{done.stderr}"
    if line.status is None:
        return ""
    head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
    found = int(head.split()[1])
    if found != line.status:
        return f"{found}: {body}"
    if line.body is not None and not contains(json.loads(body), line.body):
        return f"{found}: {body}"
    return ""


def contains(whole: Any, part: Any) -> bool:
    """`part` may leave out keys."""
    if isinstance(part, dict):
        return all(name in whole and contains(whole[name], value) for name, value in part.items())
    return bool(whole == part)


def first_wrong_answer(environment: Mapping[str, str]) -> str:
    """Of all marked lines, page by page, in their order; empty when all answer as they should."""
    for page in PAGES:
        for block in marked(page):
            top, lines = settings_and_lines(block)
            for line in lines:
                deadline = time.monotonic() + FOLLOWS_S
                while found := answered(line, top, environment):
                    if not line.reads or time.monotonic() > deadline:
                        return f"{page.name}: {line.command}\nanswered {found}"
                    time.sleep(0.1)
    return ""


@pytest.mark.slow
@needs_curl
@pytest.mark.parametrize("adapters", ADAPTERS)
async def test_every_marked_line_answers_as_the_page_says(adapters: str, tmp_path: Path) -> None:
    assert marked(PAGES[0])
    settings, options = with_adapters(adapters)
    async with running(tmp_path / "state", settings=settings, options=options) as emulator:
        environment = {"URL": emulator.url, "STATE": str(emulator.state), "PYTHON": sys.executable}
        assert await asyncio.to_thread(first_wrong_answer, environment) == ""


def test_a_block_is_read_as_it_is_written() -> None:
    top, lines = settings_and_lines(
        'A=1\nB=2\n\ncurl -si "$A" -d \'{\n  "b": 1}\'\n# 202 {"c": 2}\n\necho $B\n'
    )
    assert top == "A=1\nB=2"
    assert lines == [Line('curl -si "$A" -d \'{\n  "b": 1}\'', 202, {"c": 2}), Line("echo $B", None)]
    assert [line.reads for line in lines] == [False, True]
    assert answered(Line("printf 'HTTP/1.1 200 OK\\r\\n\\r\\n{\"b\": 1}'", 200, {"b": 2}), "", {}) != ""
    assert answered(Line("printf 'HTTP/1.1 200 OK\\r\\n\\r\\n{\"b\": 1}'", 200, {"b": 1}), "", {}) == ""
    assert answered(Line("printf 'HTTP/1.1 404 Not Found\\r\\n\\r\\n'", 200), "", {}) != ""
    assert answered(Line("exit 3", None), "", {}) != ""


def rows(page: Path, first: str) -> list[list[str]]:
    """Of the table whose first heading is `first`; cells without back-ticks."""
    lines = page.read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} |"))
    found = []
    for line in lines[at + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip().strip("`") for cell in line.strip("| ").split(" | ")])
    return found


def test_the_settings_are_those_of_the_code() -> None:
    """The limits of the calls to providers, and the settings of one channel, are on pages of their own."""
    table = {name: default for names, default, _ in rows(PAGES[0], "setting") for name in names.split("`, `")}
    limits = {name for name in names_read_by(read_settings) if LIMITS.match(name)}
    code = names_read_by(read_settings) - limits
    channels = {"ORDERFLOW_NOTIFICATION_CHANNELS", "ORDERFLOW_OPERATORS_EMAIL"}
    assert table.keys() - limits - channels == code
    default_settings = Settings()
    for name in table.keys() & limits:
        assert float(table[name]) == default_settings.gateway.timeout_s
    for name in table.keys() & code:
        default = table[name]
        if default[0].isdecimal():
            changed = read_settings({name: "77"})
            [field] = [
                each
                for each in Settings.__slots__
                if getattr(changed, each) != getattr(default_settings, each)
            ]
            assert float(default) == getattr(default_settings, field), name
        else:
            with pytest.raises(InvalidSetting, match=f"{name}: must be"):
                read_settings({name: "nonsense"})
            assert default == "a made-up one" or default in {
                getattr(default_settings, each) for each in Settings.__slots__
            }


def test_the_flags_are_those_of_the_emulator() -> None:
    code = set(re.findall(r'"(--[a-z-]+)"', (PROJECT / "emulator" / "cli.py").read_text()))
    assert {flag for flag, _ in rows(PROJECT / "docs" / "emulator.md", "flag")} == code


def test_the_log_messages_are_those_of_the_code() -> None:
    """NAME stands for what the code puts in."""
    sources = "".join(
        file.read_text() for folder in code_folders() for file in (PROJECT / folder).rglob("*.py")
    )
    for messages, *_ in rows(PROJECT / "docs" / "operations.md", "message"):
        for message in re.split("`, `", messages):
            assert f'"{message.replace("NAME", "%s")}' in sources, message


def test_the_requests_are_routes_of_the_app() -> None:
    """In a process of its own, because importing the app sets up logging."""
    script = """
import json, function_app
bindings = [b.get_dict_repr() for f in function_app.app.get_functions() for b in f.get_bindings()]
routes = [b for b in bindings if b["type"] == "httpTrigger"]
print(json.dumps([f"{m.value} /api/{b['route']}" for b in routes for m in b["methods"]]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    routes = json.loads(done.stdout.splitlines()[-1])
    requests = [request for request, _ in rows(PAGES[0], "request")]
    assert len(requests) > 10
    assert set(requests) <= set(routes)


def test_every_make_target_that_is_named_is_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"`make ([a-z]+)|^make ([a-z]+)", page.read_text(), re.MULTILINE))
        assert {first or second for first, second in named} <= targets, page.name


def test_every_link_leads_somewhere() -> None:
    for page in PAGES:
        links = re.findall(r"\]\(([^)#]+)", page.read_text())
        broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
        assert not broken, page.name


def test_every_file_that_is_named_is_there() -> None:
    """Paths in back-ticks that begin with a folder of the project."""
    folders = "|".join(code_folders())
    for page in PAGES:
        paths = re.findall(rf"`((?:{folders}|docs)/[\w/.-]*)`", page.read_text())
        missing = [path for path in paths if not (PROJECT / path).exists() and "loyalty" not in path]
        assert not missing, page.name


def test_the_layout_names_every_folder_of_code() -> None:
    block = re.search(r"```text\nfunction_app\.py.*?```", PAGES[0].read_text(), re.DOTALL)
    assert block is not None
    named = set(re.findall(r"^(\w+)/ ", block[0], re.MULTILINE))
    assert named == {*code_folders(), "docs"}


def code_folders() -> Sequence[str]:
    return sorted(
        folder.name
        for folder in PROJECT.iterdir()
        if folder.is_dir()
        and not folder.name.startswith((".", "_"))
        and (any(folder.rglob("*.py")) or any(folder.glob("*.json")))
    )


def test_the_excerpt_of_the_demo_is_of_this_demo() -> None:
    text = PAGES[0].read_text()
    shown = re.findall(r"^order ord-\w{20} shows (.*)$", text, re.MULTILINE)
    assert shown
    assert set(shown) <= {case.shows for case in CASES}
    completed = sum(case.status == "completed" for case in CASES)
    verdict = f"{len(CASES)} orders, {completed} completed, {len(CASES) - completed} cancelled, 0 violations"
    assert f"\ndemo: {verdict}\n" in text
