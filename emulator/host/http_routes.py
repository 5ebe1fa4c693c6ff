"""Which function an HTTP request is for.

Routes as in the real host: `{name}`, optional `{name?}`, the rest of the path `{*name}`, constraints int,
alpha and guid; literal segments win over parameters, and letter case does not matter. A path that only
matches for another method is not found (404), as in Azure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from emulator.host.functions import AppRefused, Function

_PARAMETER = re.compile(r"\{(\*?)([A-Za-z_]\w*)(?::([^}?]+))?(\??)\}")
_CONSTRAINTS = {
    "int": re.compile(r"-?\d+"),
    "alpha": re.compile(r"[A-Za-z]+"),
    "guid": re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"),
}
_ANY_METHOD = frozenset({"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"})


@dataclass(frozen=True, slots=True)
class _Segment:
    literal: str
    """Lower case; empty for a parameter."""
    parameter: str = ""
    constraint: re.Pattern[str] | None = None
    optional: bool = False
    rest: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    function: Function
    parameters: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Route:
    function: Function
    methods: frozenset[str]
    segments: tuple[_Segment, ...]

    def match(self, path: Sequence[str]) -> dict[str, str] | None:
        parameters: dict[str, str] = {}
        for number, segment in enumerate(self.segments):
            if segment.rest:
                if number < len(path):
                    parameters[segment.parameter] = unquote("/".join(path[number:]))
                return parameters
            if number >= len(path):
                if segment.optional:
                    continue
                return None
            text = path[number]
            if segment.literal:
                if text.lower() != segment.literal:
                    return None
                continue
            text = unquote(text)
            if segment.constraint is not None and not segment.constraint.fullmatch(text):
                return None
            parameters[segment.parameter] = text
        return parameters if len(path) <= len(self.segments) else None


_RESERVED = ("admin", "runtime")


def _check_not_reserved(function: Function) -> None:
    """Azure's host refuses such a function at start: "conflicts with one or more built in routes"."""
    route = function.trigger.text("route", function.name).strip("/")
    if route.lower().startswith(_RESERVED):
        raise AppRefused(
            f"function {function.name}: the route {route!r} begins with one of {', '.join(_RESERVED)}, "
            "which the Functions host keeps for itself"
        )


class Routes:
    def __init__(self, functions: Sequence[Function], prefix: str) -> None:
        """Raises AppRefused for a route that the emulator cannot read, and for two that are the same."""
        routes = [
            _route(function, prefix) for function in functions if function.trigger.type == "httpTrigger"
        ]
        for route in routes:
            _check_not_reserved(route.function)
        seen: dict[tuple[str, tuple[_Segment, ...]], str] = {}
        for route in routes:
            for method in route.methods:
                other = seen.setdefault((method, route.segments), route.function.name)
                if other != route.function.name:
                    raise AppRefused(f"function {route.function.name}: {other} has the same route and method")
        self._routes = sorted(
            routes, key=lambda route: [(s.rest, not s.literal, s.constraint is None) for s in route.segments]
        )

    def find(self, method: str, path: str) -> Match | None:
        """`path` as in the request line, percent-encoded, without the query."""
        segments = [segment for segment in path.split("/") if segment]
        for route in self._routes:
            if method in route.methods:
                parameters = route.match(segments)
                if parameters is not None:
                    return Match(route.function, parameters)
        return None

    def listing(self) -> list[tuple[str, str, str]]:
        """(function, methods, path) of each, to print at the start."""
        return [
            (
                route.function.name,
                ",".join(sorted(route.methods)) if route.methods != _ANY_METHOD else "*",
                "/" + "/".join(_show(segment) for segment in route.segments),
            )
            for route in self._routes
        ]


def _route(function: Function, prefix: str) -> _Route:
    text = function.trigger.text("route", function.name).strip("/")
    path = f"{prefix}/{text}" if prefix else text
    methods = function.trigger.properties.get("methods")
    names = frozenset(str(name).upper() for name in methods) if isinstance(methods, list) else _ANY_METHOD
    segments = tuple(_segment(function.name, part) for part in path.split("/") if part)
    return _Route(function, names, segments)


def _segment(function: str, text: str) -> _Segment:
    if "{" not in text:
        return _Segment(text.lower())
    match = _PARAMETER.fullmatch(text)
    if match is None:
        raise AppRefused(f"function {function}: the route segment {text!r} is not served by the emulator")
    star, name, constraint, optional = match.groups()
    if constraint is not None and constraint not in _CONSTRAINTS:
        raise AppRefused(
            f"function {function}: the route constraint {constraint!r} is not served by the emulator"
        )
    return _Segment("", name, _CONSTRAINTS.get(constraint or ""), bool(optional), bool(star))


def _show(segment: _Segment) -> str:
    return segment.literal or f"{{{segment.parameter}}}"
