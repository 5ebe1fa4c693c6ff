"""Which template a notification is made of: one that was saved, or the one that comes with the app.

Saved ones are in the container `notification-templates`, partition key kind:

    {channel}:{locale}            the current one; `active` false when it was withdrawn
    {channel}:{locale}:{version}  each that ever was current, never changed
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter

from core.decider import Rejection
from core.documents import (
    Create,
    DocumentConflict,
    DocumentNotFound,
    Documents,
    PreconditionFailed,
    Query,
    Replace,
    Where,
    each_page,
)
from core.json import JsonObject
from services.notifications.builtin import BUILT_IN
from services.notifications.channels import ChannelName
from services.notifications.rendering import Fault, Template, faults, locales_of

CONTAINER = "notification-templates"


class TemplateRefused(Exception):
    """It breaks the rules of `rendering`; nothing was saved."""

    def __init__(self, found: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.part}: {fault.rule}" for fault in found))
        self.faults = found


class UnknownTemplate(Rejection):
    def __init__(self) -> None:
        super().__init__("unknown_template", "there is no such template, or no such version of it")


@dataclass(frozen=True, slots=True)
class ChosenTemplate:
    """`version` is 0 for the one that comes with the app."""

    kind: str
    channel: ChannelName
    locale: str
    version: int
    template: Template

    @property
    def name(self) -> str:
        return f"{self.kind}/{self.channel}/{self.locale}:{self.version}"


_templates = TypeAdapter(Template)


async def choose(documents: Documents, kind: str, channel: ChannelName, locale: str) -> ChosenTemplate:
    """The one of the locale, else of what stands in for it; in each a saved one goes before the app's own.
    One request."""
    query = Query((Where("channel", "=", channel), Where("active", "=", True)), partition=kind)
    saved = {
        str(item["locale"]): item
        async for page in each_page(documents, CONTAINER, query)
        for item in page.items
    }
    return _chosen(saved, kind, channel, locale)


def _chosen(saved: Mapping[str, JsonObject], kind: str, channel: ChannelName, locale: str) -> ChosenTemplate:
    for each in locales_of(locale):
        if each in saved:
            return _from_item(saved[each])
        built_in = BUILT_IN.get((kind, channel, each))
        if built_in is not None:
            return ChosenTemplate(kind, channel, each, 0, built_in)
    raise AssertionError(f"no built-in template of {kind} for {channel} in English")


async def save(
    documents: Documents, kind: str, channel: ChannelName, locale: str, template: Template, now: datetime
) -> ChosenTemplate:
    """Make this the current one. The same again changes nothing. Raises TemplateRefused."""
    found = faults(kind, channel, template)
    if found:
        raise TemplateRefused(found)
    while True:
        current = await _current(documents, kind, channel, locale)
        if current is not None and current["active"]:
            chosen = _from_item(current)
            if chosen.template == template:
                return chosen
        version = 1 if current is None else _version(current) + 1
        chosen = ChosenTemplate(kind, channel, locale, version, template)
        try:
            await _store(documents, chosen, current, now)
        except (DocumentConflict, PreconditionFailed):
            continue
        return chosen


async def withdraw(documents: Documents, kind: str, channel: ChannelName, locale: str) -> None:
    """From now on the app's own one is used, or that of the next locale. Raises UnknownTemplate."""
    while True:
        current = await _current(documents, kind, channel, locale)
        if current is None or not current["active"]:
            raise UnknownTemplate
        try:
            await documents.replace(CONTAINER, kind, current | {"active": False}, _etag(current))
        except PreconditionFailed:
            continue
        return


async def read_version(
    documents: Documents, kind: str, channel: ChannelName, locale: str, version: int
) -> ChosenTemplate:
    """Raises UnknownTemplate."""
    if version == 0:
        built_in = BUILT_IN.get((kind, channel, locale))
        if built_in is None:
            raise UnknownTemplate
        return ChosenTemplate(kind, channel, locale, 0, built_in)
    try:
        stored = await documents.read(CONTAINER, kind, f"{channel}:{locale}:{version}")
    except DocumentNotFound as error:
        raise UnknownTemplate from error
    return _from_item(stored.item)


async def _current(documents: Documents, kind: str, channel: ChannelName, locale: str) -> JsonObject | None:
    try:
        return (await documents.read(CONTAINER, kind, f"{channel}:{locale}")).item
    except DocumentNotFound:
        return None


async def _store(
    documents: Documents, chosen: ChosenTemplate, current: JsonObject | None, now: datetime
) -> None:
    id = f"{chosen.channel}:{chosen.locale}"
    item: JsonObject = {
        "kind": chosen.kind,
        "channel": chosen.channel,
        "locale": chosen.locale,
        "version": chosen.version,
        "template": _templates.dump_python(chosen.template, mode="json"),
        "saved_at": now.isoformat(),
    }
    active = item | {"id": id, "active": True}
    put = Create(active) if current is None else Replace(active, _etag(current))
    version = Create(item | {"id": f"{id}:{chosen.version}", "active": False})
    await documents.batch(CONTAINER, chosen.kind, [put, version])


def _from_item(item: JsonObject) -> ChosenTemplate:
    return _chosen_items.validate_python({name: item[name] for name in ChosenTemplate.__slots__})


_chosen_items = TypeAdapter(ChosenTemplate)


def _version(item: JsonObject) -> int:
    version = item["version"]
    assert isinstance(version, int)  # noqa: S101  (written by _store)
    return version


def _etag(item: JsonObject) -> str:
    etag = item["_etag"]
    assert isinstance(etag, str)  # noqa: S101  (the store's own field)
    return etag
