"""docs/notifications.md says what the code does."""

import re
from pathlib import Path

from adapters.notifications import settings
from services.notifications import messages
from services.notifications.kinds import KINDS
from services.notifications.sending import FIRST_RETRY_S, LONGEST_RETRY_S, MAX_ATTEMPTS, RETRY_FACTOR
from triggers.service_bus.notifications import TOLD, TOLD_OF_SERVICES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "notifications.md").read_text()


def test_every_event_and_kind_that_is_told_is_on_the_page() -> None:
    for event in TOLD | TOLD_OF_SERVICES:
        assert f"`{event}`" in PAGE or f"`.{event.partition('.')[2]}`" in PAGE, event
    for kind in KINDS.values():
        assert f"`{kind.name}`" in PAGE or f".{kind.name}`" in PAGE, kind.name


def test_every_setting_and_channel_is_on_the_page_and_every_one_of_the_page_is_read() -> None:
    source = Path(settings.__file__).read_text()
    read = set(re.findall(r'"(ORDERFLOW_\w+)"', source))
    suffixes = {f"ORDERFLOW_SMTP{suffix}" for suffix in re.findall(r"`(_[A-Z]+)`", PAGE)}
    named = set(re.findall(r"ORDERFLOW_\w+", PAGE)) | suffixes
    assert named - {"ORDERFLOW_SENDER_TIMEOUT_SECONDS"} == read
    assert all(f"| `{channel}` |" in PAGE for channel in (settings.OUTBOX, *settings.SERVED_BY))


def test_the_pauses_are_those_of_the_page() -> None:
    assert MAX_ATTEMPTS == 6
    pauses = [min(FIRST_RETRY_S * RETRY_FACTOR**n, LONGEST_RETRY_S) for n in range(MAX_ATTEMPTS - 1)]
    assert pauses == [30, 2 * 60, 8 * 60, 32 * 60, 2 * 3600]
    assert "30 s, 2 min, 8 min, 32 min and 2 h" in PAGE


def test_every_message_is_on_the_page() -> None:
    assert set(re.findall(r'@contract\("(\S+)"\)', Path(messages.__file__).read_text())) == set(
        re.findall(r"^\| `(notifications\.\w+)` \|", PAGE, re.MULTILINE)
    )
