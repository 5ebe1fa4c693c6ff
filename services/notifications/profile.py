"""How a customer wants to be told: addresses, language, time zone, and what on which channel, when not.

One document per customer, container `notification-preferences`, partition key customer id. A customer without
one is told nothing: there is no address.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter

from core.documents import DocumentConflict, DocumentNotFound, Documents, PreconditionFailed
from core.json import JsonObject
from services.notifications.channels import ChannelName
from services.notifications.kinds import KINDS

CONTAINER = "notification-preferences"
PREFERENCES = "preferences"

type Switch = Literal["on", "fallback", "off"]
"""`fallback`: only when the notification fails on another channel, or no other is on."""

DEFAULT_SWITCHES: Mapping[ChannelName, Switch] = {"email": "on", "sms": "fallback", "push": "on"}


@dataclass(frozen=True, slots=True)
class PushSubscription:
    """What a browser's PushManager gives (W3C Push API): the push service's URL, the keys in base64url."""

    endpoint: str
    p256dh: str
    auth: str


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `start` up to `end`, over midnight when `end` is the earlier; local times of the customer."""

    start: time
    end: time


@dataclass(frozen=True, slots=True)
class Profile:
    """`time_zone` is an IANA name. `switches`, by channel and kind: what differs from DEFAULT_SWITCHES."""

    customer_id: str
    locale: str = "en"
    time_zone: str = "UTC"
    email: tuple[str, ...] = ()
    phone: str = ""
    push: tuple[PushSubscription, ...] = ()
    quiet_hours: QuietHours | None = None
    switches: Mapping[ChannelName, Mapping[str, Switch]] = field(default_factory=dict)

    def switch(self, channel: ChannelName, kind: str) -> Switch:
        return self.switches.get(channel, {}).get(kind, DEFAULT_SWITCHES[channel])

    def addresses(self, channel: ChannelName) -> tuple[str, ...]:
        match channel:
            case "email":
                return self.email
            case "sms":
                return (self.phone,) if self.phone else ()
            case "push":
                return tuple(_push.dump_json(one).decode() for one in self.push)


_profiles = TypeAdapter(Profile)
_push = TypeAdapter(PushSubscription)


def chosen(profile: Profile, kind: str, served: tuple[ChannelName, ...]) -> tuple[ChannelName, ...]:
    """The channels on which this customer is told of this kind, of those that are served.

    All that are on; when none is, the first that may stand in. A transactional kind is told on the first that
    has an address even if all are off.
    """
    reachable = [channel for channel in served if profile.addresses(channel)]
    on = tuple(channel for channel in reachable if profile.switch(channel, kind) == "on")
    if on:
        return on
    standing_in = [channel for channel in reachable if profile.switch(channel, kind) == "fallback"]
    if not standing_in and KINDS[kind].transactional:
        standing_in = reachable
    return tuple(standing_in[:1])


def stand_in(
    profile: Profile, kind: str, served: tuple[ChannelName, ...], used: frozenset[ChannelName]
) -> ChannelName | None:
    """The next channel when one has failed for good; None when no other may be used."""
    for channel in served:
        if channel in used or not profile.addresses(channel):
            continue
        if profile.switch(channel, kind) != "off" or KINDS[kind].transactional:
            return channel
    return None


def wanted(profile: Profile, kind: str, channel: ChannelName) -> bool:
    return KINDS[kind].transactional or profile.switch(channel, kind) != "off"


def due(profile: Profile, kind: str, channel: ChannelName, now: datetime) -> datetime:
    """Now, or the end of the quiet hours. Two do not wait for that: what is urgent; and an e-mail about money
    or the contract, which makes no noise, and whoever looks for it finds it.
    """
    if KINDS[kind].urgent or (channel == "email" and KINDS[kind].transactional):
        return now
    return not_before(profile, now)


def not_before(profile: Profile, now: datetime) -> datetime:
    """Now, or the end of the quiet hours that it falls into.

    An end that the clocks skip in spring is as much later as they are put forward. One that comes twice in
    autumn ends the quiet hours twice: what the clock on the wall shows is what counts.
    """
    quiet = profile.quiet_hours
    if quiet is None or quiet.start == quiet.end:
        return now
    zone = ZoneInfo(profile.time_zone)
    local = now.astimezone(zone)
    clock = local.time().replace(fold=0)
    over_midnight = quiet.end < quiet.start
    if over_midnight:
        is_quiet = clock >= quiet.start or clock < quiet.end
    else:
        is_quiet = quiet.start <= clock < quiet.end
    if not is_quiet:
        return now
    day = local.date() + timedelta(days=1 if over_midnight and clock >= quiet.start else 0)
    for fold in (0, 1):
        end = datetime.combine(day, quiet.end, zone).replace(fold=fold).astimezone(UTC)
        if end > now:
            return end
    return now


def to_item(profile: Profile) -> JsonObject:
    item: JsonObject = _profiles.dump_python(profile, mode="json")
    return item | {"id": PREFERENCES}


def from_item(item: JsonObject) -> Profile:
    return _profiles.validate_python({name: item[name] for name in Profile.__slots__})


async def find(documents: Documents, customer_id: str) -> tuple[Profile, str] | None:
    """With its ETag. One request."""
    try:
        stored = await documents.read(CONTAINER, customer_id, PREFERENCES)
    except DocumentNotFound:
        return None
    return from_item(stored.item), stored.etag


async def save(documents: Documents, profile: Profile, etag: str | None) -> str:
    """Replace what the ETag names; without one, whatever is there. Answers the new ETag. Raises
    PreconditionFailed."""
    item = to_item(profile)
    if etag is None:
        return (await documents.upsert(CONTAINER, profile.customer_id, item)).etag
    try:
        return (await documents.replace(CONTAINER, profile.customer_id, item, etag)).etag
    except DocumentNotFound as error:
        raise PreconditionFailed(f"{CONTAINER}: there is none of this customer") from error


async def create(documents: Documents, profile: Profile) -> str:
    """Raises PreconditionFailed when there is one."""
    try:
        return (await documents.create(CONTAINER, profile.customer_id, to_item(profile))).etag
    except DocumentConflict as error:
        raise PreconditionFailed(f"{CONTAINER}: there is one of this customer") from error


async def change(
    documents: Documents, customer_id: str, alter: Callable[[Profile], Profile]
) -> Profile | None:
    """Apply `alter` to what is stored, whoever else changes it meanwhile. None when there is no profile."""
    while True:
        found = await find(documents, customer_id)
        if found is None:
            return None
        before, etag = found
        after = alter(before)
        if after == before:
            return before
        try:
            await save(documents, after, etag)
        except PreconditionFailed:
            continue
        return after


def without_push(profile: Profile, gone: frozenset[str]) -> Profile:
    """Without the subscriptions of these addresses."""
    return replace(
        profile, push=tuple(one for one in profile.push if _push.dump_json(one).decode() not in gone)
    )


def switched_off(profile: Profile, channel: ChannelName, kind: str) -> Profile:
    by_kind = {**profile.switches.get(channel, {}), kind: "off"}
    return replace(profile, switches={**profile.switches, channel: by_kind})
