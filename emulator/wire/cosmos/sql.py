"""The queries that are served, a small part of Cosmos DB's SQL; everything else is refused by name.

    SELECT [TOP n] * FROM c [WHERE condition AND ...] [ORDER BY c.path [ASC | DESC]] [OFFSET n LIMIT n]

    condition: c.path = value, either first, or != <> < <= > >=; [NOT] IS_DEFINED(c.path), true, (condition)
    c.path: c.a.b or c["a"]["b"];  value: a @parameter, a string, a number, true, false, null

The SELECT of a rewritten query is taken too: see `plan.py`. The predicate of a patch begins at FROM.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from emulator.documents.model import Comparison, Condition, Json
from emulator.wire.cosmos.exchange import Refusal

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<parameter>@\w+)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<symbol><>|<=|>=|!=|[=<>()\[\]{}.,:*])
    )""",
    re.VERBOSE | re.DOTALL,
)
_FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_COMPARISONS: Final[dict[str, Comparison]] = {
    "=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=",
}  # fmt: skip
_FLIPPED: Final[dict[Comparison, Comparison]] = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_LITERALS: Final[dict[str, Json]] = {"TRUE": True, "FALSE": False, "NULL": None}
_UNQUERIED: Final = frozenset({"_etag", "_rid", "_self", "_attachments"})
_MAX_DEPTH: Final = 32
MAX_QUERY_CHARACTERS: Final = 30_720
"""As `queryEngineConfiguration` says."""


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str


@dataclass(frozen=True, slots=True)
class Sql:
    """`where` holds fields, comparisons and values; a value may be a parameter until `bind`."""

    where: tuple[tuple[str, Comparison, Json | Parameter], ...] = ()
    order_by: str | None = None
    descending: bool = False
    top: int | None = None
    offset: int | None = None
    limit: int | None = None
    with_order_items: bool = False
    """Asked are not items but what an SDK merges: see `plan.py`."""

    def bind(self, parameters: Mapping[str, Json]) -> tuple[Condition, ...]:
        """Raises Refusal 400 for a parameter without a value."""
        return tuple(
            Condition(field, comparison, _value(value, parameters)) for field, comparison, value in self.where
        )


@lru_cache(maxsize=512)
def parse(text: str) -> Sql:
    """Raises Refusal 400."""
    parser = _Parser(text)
    return parser.query()


@lru_cache(maxsize=512)
def parse_predicate(text: str) -> tuple[Condition, ...]:
    """The condition of a patch, `FROM c WHERE ...`. Raises Refusal 400."""
    parser = _Parser(text)
    parser.source()
    parser.expect("WHERE")
    where = parser.conditions()
    parser.end()
    return Sql(where).bind({})


def _value(value: Json | Parameter, parameters: Mapping[str, Json]) -> Json:
    if not isinstance(value, Parameter):
        return value
    if value.name not in parameters:
        raise Refusal(400, f"The query's parameter {value.name} has no value.")
    return parameters[value.name]


class _Parser:
    def __init__(self, text: str) -> None:
        if len(text) > MAX_QUERY_CHARACTERS:
            raise Refusal(400, f"The query has {len(text)} characters, {MAX_QUERY_CHARACTERS} are allowed.")
        self._tokens = _tokens(text)
        self._at = 0
        self._alias = ""
        self._depth = 0

    def query(self) -> Sql:
        self.expect("SELECT")
        top = self._count() if self._take("TOP") else None
        # The alias stands before its definition: what is selected is looked at again below.
        selected = self._at
        while self._peek_word() != "FROM":
            if self._kind() == "end":
                raise self._refusal("FROM expected")
            self._at += 1
        self.source()
        where = self.conditions() if self._take("WHERE") else ()
        order_by, descending = self._order()
        offset = limit = None
        if self._take("OFFSET"):
            offset = self._count()
            self.expect("LIMIT")
            limit = self._count()
        self.end()
        self._at = selected
        if not self._take("*"):
            self._order_items(order_by)
            return Sql(where, order_by, descending, top, offset, limit, True)
        if self._peek_word() != "FROM":
            raise self._refusal("only `SELECT *` is served")
        return Sql(where, order_by, descending, top, offset, limit)

    def source(self) -> None:
        self.expect("FROM")
        self._alias = self._word("the name of the container")
        self._take("AS")
        if self._kind() == "word" and self._peek_word() not in {"WHERE", "ORDER", "OFFSET"}:
            if self._peek_word() in {"JOIN", "IN", "GROUP"}:
                raise self._refusal(f"{self._peek_word()} is not served")
            self._alias = self._word("an alias")

    def conditions(self) -> tuple[tuple[str, Comparison, Json | Parameter], ...]:
        found = self._term()
        while self._take("AND"):
            found += self._term()
        return found

    def expect(self, word: str) -> None:
        if not self._take(word):
            raise self._refusal(f"{word} expected")

    def end(self) -> None:
        if self._kind() != "end":
            raise self._refusal("not served here")

    def _term(self) -> tuple[tuple[str, Comparison, Json | Parameter], ...]:
        if self._take("("):
            self._depth += 1
            if self._depth > _MAX_DEPTH:
                raise self._refusal("parentheses nested too deep")
            inner = self.conditions()
            self.expect(")")
            self._depth -= 1
            return inner
        negated = self._take("NOT")
        if self._take("IS_DEFINED"):
            self.expect("(")
            field = self._path()
            self.expect(")")
            return ((field, "defined", not negated),)
        if negated:
            raise self._refusal("after NOT only IS_DEFINED is served")
        if self._kind() == "word" and self._text() == self._alias:
            field = self._path()
            return ((field, self._comparison(), self._operand()),)
        value = self._operand()
        if value is True and self._text() not in _COMPARISONS:
            return ()
        comparison = self._comparison()
        return ((self._path(), _FLIPPED.get(comparison, comparison), value),)

    def _comparison(self) -> Comparison:
        comparison = _COMPARISONS.get(self._text())
        if comparison is None:
            raise self._refusal("a comparison expected (= != < <= > >=)")
        self._at += 1
        return comparison

    def _operand(self) -> Json | Parameter:
        kind, text = self._kind(), self._text()
        if kind == "parameter":
            self._at += 1
            return Parameter(text)
        if kind == "number":
            self._at += 1
            return _number(text)
        if kind == "string":
            self._at += 1
            return _unquote(text)
        if kind == "word" and text.upper() in _LITERALS:
            self._at += 1
            return _LITERALS[text.upper()]
        raise self._refusal("a value or parameter expected")

    def _path(self) -> str:
        if self._word("a path") != self._alias:
            self._at -= 1
            raise self._refusal(f"a path of {self._alias} expected")
        names = []
        while True:
            if self._take("."):
                names.append(self._word("a field"))
            elif self._take("["):
                if self._kind() != "string":
                    raise self._refusal("a field's name in quotes expected")
                names.append(_unquote(self._text()))
                self._at += 1
                self.expect("]")
            else:
                break
        if not names or names[0] in _UNQUERIED or not all(map(_FIELD_NAME.fullmatch, names)):
            raise Refusal(400, f"The path {self._alias}.{'.'.join(names)} is not served in a query.")
        return ".".join(names)

    def _order(self) -> tuple[str | None, bool]:
        if not self._take("ORDER"):
            return None, False
        self.expect("BY")
        path = self._path()
        if self._take("DESC"):
            return path, True
        self._take("ASC")
        return path, False

    def _order_items(self, order_by: str | None) -> None:
        wanted = f'{self._alias} . _rid , [ {{ "item" : '.split()
        if order_by is None or not all(self._take(token) for token in wanted) or self._path() != order_by:
            raise self._refusal("only `SELECT *` is served")
        rest = f"}} ] AS orderByItems , {self._alias} AS payload FROM".split()
        if not all(self._take(token) for token in rest):
            raise self._refusal("only `SELECT *` is served")

    def _count(self) -> int:
        text = self._text()
        if self._kind() != "number" or not text.isdecimal():
            raise self._refusal("a whole number expected")
        self._at += 1
        return int(text)

    def _word(self, what: str) -> str:
        if self._kind() != "word":
            raise self._refusal(f"{what} expected")
        self._at += 1
        return self._tokens[self._at - 1][1]

    def _take(self, token: str) -> bool:
        text = self._text()
        if text == token or (self._kind() == "word" and text.upper() == token):
            self._at += 1
            return True
        return False

    def _kind(self) -> str:
        return self._tokens[self._at][0]

    def _text(self) -> str:
        return self._tokens[self._at][1]

    def _peek_word(self) -> str:
        return self._text().upper() if self._kind() == "word" else ""

    def _refusal(self, rule: str) -> Refusal:
        near = self._text() or "the end"
        return Refusal(400, f"The query is not served by the emulator: {rule}, near {near!r}.")


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens = []
    at = 0
    text = text.strip()
    while at < len(text):
        matched = _TOKEN.match(text, at)
        if matched is None or matched.lastgroup is None:
            raise Refusal(400, f"The query is not served by the emulator: near {text[at : at + 20]!r}.")
        tokens.append((matched.lastgroup, matched[matched.lastgroup]))
        at = matched.end()
    return [*tokens, ("end", "")]


def _number(text: str) -> Json:
    if text.lstrip("-").isdecimal():
        return int(text)
    number = float(text)
    if math.isinf(number):
        raise Refusal(400, f"The number {text} is too large.")
    return number


def _unquote(literal: str) -> str:
    def plain(escape: re.Match[str]) -> str:
        text = escape[0]
        if text[1] == "u":
            return chr(int(text[2:], 16)) if len(text) == 6 else text
        return {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}.get(text[1], text[1])

    text = _ESCAPE.sub(plain, literal[1:-1])
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
