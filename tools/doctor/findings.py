"""What a check says, and how it is shown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    OK = "ok"
    NOTE = "note"
    """Worth knowing; nothing has to be done."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    status: Status
    subject: str
    found: str
    mend: str = ""
    """The command that mends it, or where there is none, what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place where the app can run, and what was found about it."""

    name: str
    commands: str
    findings: Sequence[Finding]

    @property
    def to_mend(self) -> int:
        return sum(finding.status is Status.WRONG for finding in self.findings)


def ok(subject: str, found: str) -> Finding:
    return Finding(Status.OK, subject, found)


def note(subject: str, found: str, mend: str = "") -> Finding:
    return Finding(Status.NOTE, subject, found, mend)


def wrong(subject: str, found: str, mend: str) -> Finding:
    return Finding(Status.WRONG, subject, found, mend)


def report(places: Sequence[Place]) -> Iterator[str]:
    """Lines of plain text, so that they read well in a pipe and in an issue."""
    width = max((len(finding.subject) for place in places for finding in place.findings), default=0)
    for place in places:
        yield f"{place.name} ({place.commands})"
        for finding in place.findings:
            yield f"  {finding.status:<5}  {finding.subject:<{width}}  {finding.found}"
            if finding.mend:
                yield f"  {'':<5}  {'':<{width}}  -> {finding.mend}"
        yield ""
    for place in places:
        yield f"{place.name}: {_summary(place.to_mend)}"


def _summary(to_mend: int) -> str:
    if not to_mend:
        return "can run"
    return "1 thing to mend" if to_mend == 1 else f"{to_mend} things to mend"
