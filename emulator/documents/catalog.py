"""Which databases and containers there are: those of the topology, and those created by request.

The latter are kept as items of a container that no request can name. None is ever deleted.
"""

import re
from collections.abc import Mapping
from typing import Final

import orjson

from emulator.clock import Clock
from emulator.documents.checks import Prepared, item_text
from emulator.documents.model import Container, JsonObject, RequestFailed
from emulator.documents.writes import FIND, perform
from emulator.store import Store

_CATALOG: Final = Container("/catalog", "in")
_DATABASES: Final = "dbs"
_NAME = re.compile(r"[^/\\#?\x00-\x1f]{1,255}")


class Catalog:
    """A created container's name, the engine's key to it, is `database/id`; a declared one's is its id."""

    def __init__(self, store: Store, clock: Clock, declared: Mapping[str, Container]) -> None:
        self._store = store
        self._clock = clock
        self._declared = declared
        self._created: dict[str, Container] = {}

    def find(self, name: str) -> Container | None:
        """By the engine's key."""
        found = self._declared.get(name) or self._created.get(name)
        if found is None and "/" in name:
            database, _, id = name.rpartition("/")
            rows = self._store.read(FIND, (_CATALOG.name, _inside(database), id))
            if rows:
                found = self._created[name] = _container(database, orjson.loads(rows[0][2]))
        return found

    def names(self) -> str:
        return ", ".join(self._declared)

    def container(self, database: str, id: str) -> Container | None:
        declared = self._declared.get(id)
        if declared is not None and declared.database == database:
            return declared
        return self.find(f"{database}/{id}")

    def has_database(self, database: str) -> bool:
        return database in self.databases()

    def databases(self) -> list[str]:
        declared = {container.database for container in self._declared.values()}
        return sorted(declared | {str(item["id"]) for item in self._items(_DATABASES)})

    def containers(self, database: str) -> list[Container]:
        declared = [each for each in self._declared.values() if each.database == database]
        return declared + [_container(database, item) for item in self._items(_inside(database))]

    async def create_database(self, database: str) -> None:
        """Raises RequestFailed 400, 409."""
        _check_name("a database's id", database)
        if self.has_database(database):
            raise RequestFailed(409, f"there is a database {database!r}")
        await self._create(_DATABASES, {"id": database})

    async def create_container(
        self, database: str, id: str, partition_key: str, default_ttl: int | None
    ) -> Container:
        """Raises RequestFailed 400, 404, 409."""
        _check_name("a container's id", id)
        if not self.has_database(database):
            raise RequestFailed(404, f"there is no database {database!r}")
        if self.container(database, id) is not None:
            raise RequestFailed(409, f"there is a container {id!r} in database {database!r}")
        item: JsonObject = {"id": id, "partitionKey": partition_key, "defaultTtl": default_ttl}
        await self._create(_inside(database), item)
        return _container(database, item)

    async def _create(self, parent: str, item: JsonObject) -> None:
        ready = Prepared("create", None, str(item["id"]), item_text(item), None)
        await self._store.write(
            lambda transaction: perform(transaction, _CATALOG, parent, ready, self._clock.time())
        )

    def _items(self, parent: str) -> list[JsonObject]:
        rows = self._store.read(
            "SELECT body FROM documents WHERE container = ? AND partition = ? ORDER BY id",
            (_CATALOG.name, parent),
        )
        return [orjson.loads(body) for (body,) in rows]


def _inside(database: str) -> str:
    return f"dbs/{database}"


def _container(database: str, item: JsonObject) -> Container:
    ttl = item["defaultTtl"]
    return Container(
        f"{database}/{item['id']}", str(item["partitionKey"]), ttl if isinstance(ttl, int) else None, database
    )


def _check_name(what: str, name: object) -> None:
    if not isinstance(name, str) or _NAME.fullmatch(name) is None or name != name.strip():
        raise RequestFailed(400, f"{what} has 1 to 255 characters, none of / \\ # ?, no space at an end")
