"""The templates of notifications: read, replaced, withdrawn, and tried out."""

from typing import Annotated, NotRequired, TypedDict, cast

import azure.durable_functions as df
import azure.functions as func
from pydantic import Field, StringConstraints

from core.audit import Asked, recording
from core.clock import Clock
from core.decider import Rejection
from core.documents import Documents
from core.json import JsonObject
from services.notifications.channels import CHANNELS, ChannelName
from services.notifications.kinds import KINDS, Audience
from services.notifications.rendering import (
    COMMON,
    FILTERS,
    PARTS,
    CannotRender,
    Template,
    faults,
    is_locale,
    render,
)
from services.notifications.templates import (
    ChosenTemplate,
    TemplateRefused,
    choose,
    read_version,
    save,
    withdraw,
)
from triggers.http.answers import Answer
from triggers.http.bodies import Body, read_body, whole_number
from triggers.http.problem import BadRequest, FieldError, answering
from triggers.http.routes import Parameter, Route, of_service, query

SAMPLE_URL = "https://shop.example/unsubscribe"
MAX_VERSION = 999_999

type Value = Annotated[str, StringConstraints(max_length=200)] | int | bool


class UnknownKind(Rejection):
    def __init__(self) -> None:
        super().__init__("unknown_kind", f"there is no such kind, only {', '.join(KINDS)}")


class Sources(Body):
    """Their rules are those of `services.notifications.rendering`."""

    text: str
    title: str = ""
    html: str = ""

    def template(self) -> Template:
        return Template(self.text, self.title, self.html)


class Preview(Body):
    """`template`: by default the one that is in use. `parameters`: what differs from the sample."""

    template: Sources | None = None
    parameters: Annotated[dict[str, Value], Field(default_factory=dict)]


class KindView(TypedDict):
    """`variables` are what a template of it may use; `sample` the parameters of an example."""

    kind: str
    audience: Audience
    transactional: bool
    variables: list[str]
    sample: JsonObject


class NotificationKinds(TypedDict):
    """`channels` with the parts of a message that each has."""

    kinds: list[KindView]
    channels: dict[ChannelName, list[str]]
    filters: list[str]


class RenderedMessage(TypedDict):
    """The parts that the channel has."""

    text: str
    title: NotRequired[str]
    html: NotRequired[str]


LISTED = Answer(NotificationKinds)
SHOWN = Answer(ChosenTemplate)
RENDERED = Answer(RenderedMessage)

ROUTE = "notification-templates/{kind}/{channel}/{locale}"
NAMED = (
    Parameter("kind", "path", "", {"type": "string", "enum": [*KINDS]}, required=True),
    Parameter("channel", "path", "", {"type": "string", "enum": [*CHANNELS]}, required=True),
    Parameter("locale", "path", "a language tag, as en or de-AT", {"type": "string"}, required=True),
)

ROUTES = of_service(
    "notifications",
    Route("GET", "notification-templates", "list_notification_kinds", "what can be told of", (LISTED,)),
    Route(
        "GET",
        ROUTE,
        "get_notification_template",
        "the one that is in use",
        (SHOWN,),
        (404,),
        parameters=(*NAMED, query("version", "that one instead", {"type": "integer", "minimum": 0})),
    ),
    Route(
        "PUT",
        ROUTE,
        "put_notification_template",
        "replace it",
        (SHOWN,),
        (404,),
        parameters=NAMED,
        body=Sources,
        example={"title": "Order {{ order_id }}", "text": "Your order {{ order_id }} is on its way."},
    ),
    Route(
        "DELETE", ROUTE, "withdraw_notification_template", "withdraw it", (SHOWN,), (404,), parameters=NAMED
    ),
    Route(
        "POST",
        f"{ROUTE}/preview",
        "preview_notification_template",
        "render it, and send nothing",
        (RENDERED,),
        (404,),
        parameters=NAMED,
        body=Preview,
        example={"template": {"text": "Your order {{ order_id }} is on its way."}},
    ),
)


def blueprint(documents: Documents, clock: Clock) -> df.Blueprint:
    bp = df.Blueprint()

    @bp.route(route="notification-templates", methods=["GET"])
    async def list_notification_kinds(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(_list)

    @bp.route(route=ROUTE, methods=["GET"])
    async def get_notification_template(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _get(documents, req))

    @bp.route(route=ROUTE, methods=["PUT"])
    async def put_notification_template(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _put(documents, clock, req))

    @bp.route(route=ROUTE, methods=["DELETE"])
    async def withdraw_notification_template(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _withdraw(documents, clock, req))

    @bp.route(route=f"{ROUTE}/preview", methods=["POST"])
    async def preview_notification_template(req: func.HttpRequest) -> func.HttpResponse:
        return await answering(lambda: _preview(documents, req))

    return bp


async def _list() -> func.HttpResponse:
    """What can be told of, and what a template of it may use."""
    kinds: list[KindView] = [
        {
            "kind": kind.name,
            "audience": kind.audience,
            "transactional": kind.transactional,
            "variables": sorted([*kind.sample, *COMMON]),
            "sample": dict(kind.sample),
        }
        for kind in KINDS.values()
    ]
    channels = {channel: list(parts) for channel, parts in PARTS.items()}
    return LISTED({"kinds": kinds, "channels": channels, "filters": sorted(FILTERS)})


async def _get(documents: Documents, req: func.HttpRequest) -> func.HttpResponse:
    """The one that is in use for this locale, maybe that of another; or with `?version=` that version."""
    kind, channel, locale = _named(req)
    wanted = req.params.get("version")
    if wanted is None:
        return SHOWN(await choose(documents, kind, channel, locale))
    version = whole_number(wanted, 0, MAX_VERSION)
    if version is None:
        raise BadRequest([FieldError("version", "must be a whole number; 0 is the one of the app")])
    return SHOWN(await read_version(documents, kind, channel, locale, version))


async def _put(documents: Documents, clock: Clock, req: func.HttpRequest) -> func.HttpResponse:
    kind, channel, locale = _named(req)
    template = read_body(req, Sources).template()
    asked = _asked(kind, channel, locale, "replace_template")
    try:
        async with recording(documents, asked, clock.now()) as record:
            saved = await save(documents, kind, channel, locale, template, clock.now())
            record["version"] = saved.version
        return SHOWN(saved)
    except TemplateRefused as error:
        raise BadRequest([FieldError(fault.part, fault.rule) for fault in error.faults]) from error


def _asked(kind: str, channel: str, locale: str, command: str) -> Asked:
    stream = f"template:{kind}:{channel}:{locale}"
    return Asked(stream, f"notifications.{command}", "operator", stream)


async def _withdraw(documents: Documents, clock: Clock, req: func.HttpRequest) -> func.HttpResponse:
    """Answers what is in use now."""
    kind, channel, locale = _named(req)
    asked = _asked(kind, channel, locale, "withdraw_template")
    async with recording(documents, asked, clock.now()):
        await withdraw(documents, kind, channel, locale)
    return SHOWN(await choose(documents, kind, channel, locale))


async def _preview(documents: Documents, req: func.HttpRequest) -> func.HttpResponse:
    """Changes and sends nothing."""
    kind, channel, locale = _named(req)
    body = read_body(req, Preview)
    sample = KINDS[kind].sample
    unknown = [name for name in body.parameters if name not in sample]
    if unknown:
        rule = f"there is no parameter {unknown[0][:40]!r}, only {', '.join(sample)}"
        raise BadRequest([FieldError("parameters", rule)])
    if body.template is None:
        template = (await choose(documents, kind, channel, locale)).template
    else:
        template = body.template.template()
        found = faults(kind, channel, template)
        if found:
            raise BadRequest([FieldError(f"template.{fault.part}", fault.rule) for fault in found])
    url = "" if KINDS[kind].transactional else SAMPLE_URL
    try:
        rendered = render(
            channel, template, {**sample, **body.parameters}, locale=locale, unsubscribe_url=url
        )
    except CannotRender as error:
        raise BadRequest([FieldError("parameters", str(error))]) from error
    parts = {part: getattr(rendered, part) for part in PARTS[channel]}
    return RENDERED(cast(RenderedMessage, parts))


def _named(req: func.HttpRequest) -> tuple[str, ChannelName, str]:
    """Raises UnknownKind, BadRequest."""
    kind, channel, locale = (req.route_params.get(name, "") for name in ("kind", "channel", "locale"))
    if kind not in KINDS:
        raise UnknownKind
    if channel not in CHANNELS:
        raise BadRequest([FieldError("channel", f"must be one of {', '.join(CHANNELS)}")])
    if not is_locale(locale):
        raise BadRequest([FieldError("locale", "must be a language tag as en or de-AT")])
    return kind, cast("ChannelName", channel), locale
