"""Templates: what one may contain, how it is checked when saved, and how it becomes a message.

Jinja2 in its sandbox, with StrictUndefined. A template comes from whoever may write templates, so it is also
held to a few kinds of nodes: text, variables, filters of FILTERS, conditions, and one loop deep over a
parameter. Without calls, macros, arithmetic and nested loops its work grows with its own size and that of a
parameter alone, so that bounding both bounds the time; nothing else can, a thread cannot be stopped.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal

from babel.core import Locale, UnknownLocaleError
from babel.numbers import format_currency, get_currency_precision
from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, nodes, pass_context
from jinja2.meta import find_undeclared_variables
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from core.json import Json
from services.notifications.channels import ChannelName
from services.notifications.kinds import KINDS

MAX_SOURCE = {"title": 500, "text": 10_000, "html": 50_000}
MAX_RENDERED = {"title": 200, "text": 20_000, "html": 100_000}
MAX_SMS = 1600
"""Characters: more than ten parts of one SMS are refused by providers."""

PARTS: Mapping[ChannelName, tuple[str, ...]] = {
    "email": ("title", "text", "html"),
    "sms": ("text",),
    "push": ("title", "text"),
}
OPTIONAL = frozenset({"html"})
COMMON = ("locale", "unsubscribe_url")
"""Variables of every template; `unsubscribe_url` is empty where the kind cannot be switched off."""

FILTERS = frozenset(
    {"capitalize", "default", "e", "escape", "length", "lower", "money", "title", "trim", "upper"}
)
"""None of which makes more than a few characters of one: no `join`, whose chain would grow without bounds."""

_ALLOWED = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.Filter,
    nodes.Test,
    nodes.If,
    nodes.For,
    nodes.CondExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Getattr,
    nodes.Keyword,
)


@dataclass(frozen=True, slots=True)
class Template:
    """The sources of the parts. `title` is an e-mail's subject; `html` may be empty."""

    text: str
    title: str = ""
    html: str = ""


@dataclass(frozen=True, slots=True)
class Rendered:
    text: str
    title: str = ""
    html: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """`part` of the template, and the rule that it breaks, with the line."""

    part: str
    rule: str


class CannotRender(Exception):
    """The template and the parameters do not go together; names the part."""


def locales_of(locale: str) -> Iterator[str]:
    """The locale and what stands in for it: de-AT, de, en."""
    parts = locale.split("-")
    for length in range(len(parts), 0, -1):
        yield "-".join(parts[:length])
    if parts[0] != "en":
        yield "en"


def is_locale(value: str) -> bool:
    """A BCP 47 tag of language, script and region that CLDR knows: en, de-AT, zh-Hant-TW."""
    try:
        known = Locale.parse(value, sep="-")
    except (ValueError, UnknownLocaleError, TypeError):
        return False
    return str(known).replace("_", "-") == value


def faults(kind: str, channel: ChannelName, template: Template) -> list[Fault]:
    """What keeps this template from being saved; empty when nothing does."""
    found: list[Fault] = []
    for part in (field.name for field in fields(Template)):
        source = getattr(template, part)
        if part not in PARTS[channel]:
            if source:
                found.append(Fault(part, f"is not part of a template for {channel}"))
        elif not source.strip() and part not in OPTIONAL:
            found.append(Fault(part, "must not be empty"))
        elif len(source) > MAX_SOURCE[part]:
            found.append(Fault(part, f"must be at most {MAX_SOURCE[part]} characters"))
        else:
            found += [Fault(part, rule) for rule in _broken_rules(kind, part, source)]
    if found:
        return found
    for url in ("https://shop.example/unsubscribe", ""):
        try:
            render(channel, template, KINDS[kind].sample, locale="en", unsubscribe_url=url)
        except CannotRender as error:
            part, _, rule = str(error).partition(": ")
            return [Fault(part, f"with sample data: {rule}")]
    return []


def render(
    channel: ChannelName,
    template: Template,
    parameters: Mapping[str, Json],
    *,
    locale: str,
    unsubscribe_url: str,
) -> Rendered:
    """Raises CannotRender."""
    context = {**parameters, "locale": locale, "unsubscribe_url": unsubscribe_url}
    parts = {part: _render_part(part, getattr(template, part), context) for part in PARTS[channel]}
    if "title" in parts:
        parts["title"] = " ".join(parts["title"].split())  # a line break in a header is another header
    if channel == "sms" and len(parts["text"]) > MAX_SMS:
        raise CannotRender(f"text: an SMS has at most {MAX_SMS} characters")
    return Rendered(**parts)


@pass_context
def money(context: Context, amount: object, currency: object) -> str:
    """Minor units as people of the locale write the amount: 4990, EUR, de -> 49,90 €."""
    if not isinstance(amount, int) or isinstance(amount, bool):
        raise TypeError("money: must be an amount in minor units, and a currency: amount | money(currency)")
    code = str(currency)
    units = Decimal(amount).scaleb(-get_currency_precision(code))
    return format_currency(units, code, locale=context["locale"].replace("-", "_"))


def _environment(*, autoescape: bool) -> SandboxedEnvironment:
    environment = SandboxedEnvironment(
        undefined=StrictUndefined, autoescape=autoescape, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.clear()
    environment.filters = {name: run for name, run in environment.filters.items() if name in FILTERS} | {
        "money": money
    }
    return environment


_PLAIN = _environment(autoescape=False)
_HTML = _environment(autoescape=True)


def _broken_rules(kind: str, part: str, source: str) -> list[str]:
    try:
        tree = _environment_of(part).parse(source)
        nodes_and_loops = list(_walk(tree, 0))
    except TemplateSyntaxError as error:
        return [f"line {error.lineno}: {error.message}"]
    except RecursionError:
        return ["is nested too deeply"]
    rules = []
    for node, loops in nodes_and_loops:
        line = f"line {node.lineno}"
        if not isinstance(node, _ALLOWED):
            rules.append(f"{line}: {type(node).__name__} is not allowed in a template")
        elif isinstance(node, nodes.Filter) and node.name not in FILTERS:
            rules.append(f"{line}: there is no filter {node.name!r}, only {', '.join(sorted(FILTERS))}")
        elif isinstance(node, nodes.For) and (
            loops > 0 or not isinstance(node.iter, nodes.Name) or node.recursive or node.test
        ):
            rules.append(f"{line}: a loop must be over a parameter, and in no other loop")
    known = {*KINDS[kind].sample, *COMMON}
    # Of what is not allowed Jinja2 may not be able to tell the variables.
    unknown = [] if rules else sorted(find_undeclared_variables(tree) - known)
    return rules + [f"unknown variable {name!r}; there are {', '.join(sorted(known))}" for name in unknown]


def _walk(node: nodes.Node, loops: int) -> Iterator[tuple[nodes.Node, int]]:
    """Every node, with the number of loops around it."""
    yield node, loops
    for child in node.iter_child_nodes():
        yield from _walk(child, loops + isinstance(node, nodes.For))


def _environment_of(part: str) -> SandboxedEnvironment:
    return _HTML if part == "html" else _PLAIN


def _render_part(part: str, source: str, context: Mapping[str, Json]) -> str:
    pieces: list[str] = []
    size = 0
    try:
        for piece in _environment_of(part).from_string(source).generate(context):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_RENDERED[part]:
                raise CannotRender(f"{part}: becomes longer than {MAX_RENDERED[part]} characters")
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise CannotRender(f"{part}: {error}") from error
    except (RecursionError, SyntaxError) as error:  # of the Python that Jinja2 makes of it
        raise CannotRender(f"{part}: is nested too deeply") from error
    return "".join(pieces)
