"""How a customer is told, as he sets it, and the links by which he switches something off."""

from datetime import time
from html import escape
from typing import Annotated, Self, TypedDict, cast

import azure.durable_functions as df
import azure.functions as func
from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from core.audit import Asked, recording
from core.clock import Clock
from core.decider import Rejection
from core.documents import Documents, PreconditionFailed
from core.json import JsonObject
from services.notifications import addresses, profile, unsubscribing
from services.notifications.channels import CHANNELS, ChannelName
from services.notifications.kinds import KINDS, of_customers
from services.notifications.profile import DEFAULT_SWITCHES, Profile, PushSubscription, QuietHours, Switch
from services.notifications.rendering import is_locale
from triggers.http.answers import Answer, Page
from triggers.http.bodies import Body, path_identifier, read_body
from triggers.http.problem import answering
from triggers.http.routes import Parameter, Route, of_service

MAX_PUSH_SUBSCRIPTIONS = 10

type Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{16,128}={0,2}$")]


class PreferencesNotFound(Rejection):
    def __init__(self) -> None:
        super().__init__("preferences_not_found", "this customer has set no notification preferences")


class PreferencesChanged(Rejection):
    def __init__(self) -> None:
        super().__init__("preferences_changed", "the preferences are not those that If-Match names")


def language_tag(value: str) -> str:
    if not is_locale(value):
        raise ValueError("must be a language tag as en or de-AT")
    return value


def clock_time(value: str) -> str:
    """HH:MM."""
    time.fromisoformat(value)
    return value


type ClockTime = Annotated[
    str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$"), AfterValidator(clock_time)
]


class Keys(Body):
    p256dh: Key
    auth: Key


class Push(Body):
    """What `PushSubscription.toJSON()` gives in a browser."""

    endpoint: Annotated[str, StringConstraints(max_length=1000), AfterValidator(addresses.push_endpoint)]
    expirationTime: float | None = None
    keys: Keys


class Quiet(Body):
    start: ClockTime
    end: ClockTime

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.start == self.end:
            raise ValueError("start and end must differ")
        return self


class Preferences(Body):
    locale: Annotated[str, AfterValidator(language_tag)] = "en"
    time_zone: Annotated[str, AfterValidator(addresses.time_zone)] = "UTC"
    email: Annotated[str, AfterValidator(addresses.email)] | None = None
    phone: Annotated[str, AfterValidator(addresses.phone)] | None = None
    push: Annotated[list[Push], Field(default_factory=list, max_length=MAX_PUSH_SUBSCRIPTIONS)]
    quiet_hours: Quiet | None = None
    channels: Annotated[dict[ChannelName, dict[str, Switch]], Field(default_factory=dict)]

    @field_validator("channels")
    @classmethod
    def _of_kinds_that_may_be_switched(
        cls, channels: dict[ChannelName, dict[str, Switch]]
    ) -> dict[ChannelName, dict[str, Switch]]:
        for channel, switches in channels.items():
            for kind, switch in switches.items():
                if kind not in of_customers():
                    raise ValueError(f"there is no kind {kind[:40]!r}, only {', '.join(of_customers())}")
                if channel == "email" and switch == "off" and KINDS[kind].transactional:
                    raise ValueError(f"{kind} cannot be switched off by e-mail: it is about your contract")
        return channels

    def profile(self, customer_id: str) -> Profile:
        quiet = self.quiet_hours
        return Profile(
            customer_id=customer_id,
            locale=self.locale,
            time_zone=self.time_zone,
            email=(self.email,) if self.email else (),
            phone=self.phone or "",
            push=tuple(PushSubscription(one.endpoint, one.keys.p256dh, one.keys.auth) for one in self.push),
            quiet_hours=None
            if quiet is None
            else QuietHours(time.fromisoformat(quiet.start), time.fromisoformat(quiet.end)),
            switches={
                channel: {
                    kind: switch for kind, switch in kinds.items() if switch != DEFAULT_SWITCHES[channel]
                }
                for channel, kinds in self.channels.items()
            },
        )


class PushKeys(TypedDict):
    p256dh: str
    auth: str


class PushView(TypedDict):
    endpoint: str
    keys: PushKeys


class QuietView(TypedDict):
    """HH:MM."""

    start: str
    end: str


class PreferencesView(TypedDict):
    """With the switch of every channel and kind. Without the id it can be put back."""

    customer_id: str
    locale: str
    time_zone: str
    email: str | None
    phone: str | None
    push: list[PushView]
    quiet_hours: QuietView | None
    channels: dict[ChannelName, dict[str, Switch]]


SHOWN = Answer(PreferencesView, headers=("ETag",))
PAGE = Page(("Cache-Control", "Content-Security-Policy", "Referrer-Policy"))

ROUTE = "customers/{customer_id}/notification-preferences"
TOKEN = Parameter("token", "path", "of the link", {"type": "string"}, required=True)

ROUTES = of_service(
    "notifications",
    Route("GET", ROUTE, "get_notification_preferences", "how a customer is told", (SHOWN,), (404,)),
    Route(
        "PUT",
        ROUTE,
        "put_notification_preferences",
        "set how a customer is told",
        (SHOWN,),
        (412,),
        parameters=(Parameter("If-Match", "header", "the ETag of what was read"),),
        body=Preferences,
        example={
            "locale": "en",
            "time_zone": "Europe/London",
            "email": "ada@example.com",
            "quiet_hours": {"start": "22:00", "end": "07:00"},
            "channels": {"sms": {"order_shipped": "on"}},
        },
    ),
    Route(
        "GET",
        "unsubscribe/{token}",
        "show_unsubscribe",
        "the page of an unsubscribe link",
        (PAGE,),
        parameters=(TOKEN,),
        anonymous=True,
    ),
    Route(
        "POST",
        "unsubscribe/{token}",
        "unsubscribe",
        "switch it off",
        (PAGE,),
        parameters=(TOKEN,),
        anonymous=True,
    ),
)


def blueprint(documents: Documents, clock: Clock, unsubscribe_key: bytes) -> df.Blueprint:
    bp = df.Blueprint()

    @bp.route(route=ROUTE, methods=["GET"])
    async def get_notification_preferences(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _get(documents, req))

    @bp.route(route=ROUTE, methods=["PUT"])
    async def put_notification_preferences(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _put(documents, clock, req))

    # Anonymous: the token is the permission, and a mail program has no key of the functions host.
    @bp.route(route="unsubscribe/{token}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
    async def show_unsubscribe(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _show(clock, unsubscribe_key, req))

    @bp.route(route="unsubscribe/{token}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
    async def unsubscribe(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _unsubscribe(documents, clock, unsubscribe_key, req))

    return bp


async def _get(documents: Documents, req: func.HttpRequest) -> func.HttpResponse:
    found = await profile.find(documents, path_identifier(req, "customer_id"))
    if found is None:
        raise PreferencesNotFound
    return SHOWN(shown(found[0]), {"ETag": found[1]})


async def _put(documents: Documents, clock: Clock, req: func.HttpRequest) -> func.HttpResponse:
    """Replaces all of them. `If-Match` with the ETag of what was read keeps a change of somebody else."""
    wanted = read_body(req, Preferences).profile(path_identifier(req, "customer_id"))
    async with recording(documents, _asked(wanted.customer_id, "set_preferences"), clock.now()) as record:
        try:
            etag = await profile.save(documents, wanted, req.headers.get("If-Match"))
        except PreconditionFailed as error:
            raise PreferencesChanged from error
        record.update(on_record(wanted))
    return SHOWN(shown(wanted), {"ETag": etag})


def shown(it: Profile) -> PreferencesView:
    quiet = it.quiet_hours
    return {
        "customer_id": it.customer_id,
        "locale": it.locale,
        "time_zone": it.time_zone,
        "email": it.email[0] if it.email else None,
        "phone": it.phone or None,
        "push": [
            {"endpoint": one.endpoint, "keys": {"p256dh": one.p256dh, "auth": one.auth}} for one in it.push
        ],
        "quiet_hours": None
        if quiet is None
        else {"start": f"{quiet.start:%H:%M}", "end": f"{quiet.end:%H:%M}"},
        "channels": {
            channel: {kind: it.switch(channel, kind) for kind in of_customers()} for channel in CHANNELS
        },
    }


def _asked(customer_id: str, command: str) -> Asked:
    stream = f"customer:{customer_id}"
    return Asked(stream, f"notifications.{command}", stream, customer_id)


def on_record(it: Profile) -> JsonObject:
    """As it is set, without his addresses: what is on record stays there."""
    addresses: JsonObject = {"email": len(it.email), "phone": int(bool(it.phone)), "push": len(it.push)}
    view = cast(JsonObject, shown(it))
    kept = ("locale", "time_zone", "quiet_hours", "channels")
    return {**{name: view[name] for name in kept}, "addresses": addresses}


async def _show(clock: Clock, key: bytes, req: func.HttpRequest) -> func.HttpResponse:
    """Changes nothing: programs that look through mails follow every link."""
    link = unsubscribing.read(req.route_params.get("token", ""), key, clock.now())
    return _page(
        f"<p>No longer tell me of <b>{_words(link.kind)}</b> by {link.channel}?</p>"
        '<form method="post"><button>Switch it off</button></form>'
    )


async def _unsubscribe(
    documents: Documents, clock: Clock, key: bytes, req: func.HttpRequest
) -> func.HttpResponse:
    """By the button of the page, or in one click by the mail program (RFC 8058)."""
    link = unsubscribing.read(req.route_params.get("token", ""), key, clock.now())
    async with recording(documents, _asked(link.customer_id, "unsubscribe"), clock.now()) as record:
        await profile.change(
            documents,
            link.customer_id,
            lambda before: profile.switched_off(before, link.channel, link.kind),
        )
        record.update(channel=link.channel, kind=link.kind)
    return _page(f"<p>You will no longer be told of <b>{_words(link.kind)}</b> by {link.channel}.</p>")


def _words(kind: str) -> str:
    return escape(kind.replace("_", " "))


def _page(body: str) -> func.HttpResponse:
    html = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Notifications</title>{body}</html>'
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": "default-src 'none'; form-action 'self'",
        "Referrer-Policy": "no-referrer",
    }
    return PAGE(html, headers)
