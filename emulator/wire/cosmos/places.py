"""Databases and containers as the protocol names them: by id, or by resource id."""

from dataclasses import dataclass

from emulator.documents.catalog import Catalog
from emulator.documents.model import Container, Row
from emulator.documents.partitions import feed_range_of
from emulator.documents.writes import etag_of
from emulator.wire.cosmos import rids
from emulator.wire.cosmos.exchange import OWNER_NOT_FOUND, Refusal


@dataclass(frozen=True, slots=True)
class Place:
    """A container. `name` is the engine's key to it, `path` its link by ids."""

    id: str
    container: Container
    rid_bytes: bytes
    rid: str
    self_link: str
    path: str

    @property
    def name(self) -> str:
        return self.container.name

    def item_text(self, row: Row, partition: str, id: str) -> str:
        """An item as the protocol shows it, its system properties included."""
        rid = rids.item_rid(self.rid_bytes, partition, id)
        return (
            f'{row.body[:-1]},"_rid":"{rid}","_self":"{self.self_link}docs/{rid}/",'
            f'"_etag":"\\"{row.sequence:x}\\"","_attachments":"attachments/","_ts":{row.ts}}}'
        )

    def item_headers(self, row: Row, partition: str) -> dict[str, str]:
        headers = self.headers(feed_range_of(partition), row.sequence)
        headers["etag"] = etag_of(row.sequence)
        return headers

    def headers(self, feed_range: int, sequence: int) -> dict[str, str]:
        """What SDKs keep of an answer: to which range it belongs, and how far that had come."""
        return {
            "x-ms-alt-content-path": self.path,
            "x-ms-content-path": self.rid,
            "x-ms-documentdb-partitionkeyrangeid": str(feed_range),
            "x-ms-session-token": f"{feed_range}:-1#{sequence}",
        }


class Places:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._known: dict[tuple[str, str], Place] = {}

    def database(self, name: str) -> str:
        """The id of a database named by id or resource id. Raises Refusal 404."""
        databases = self._catalog.databases()
        if name in databases:
            return name
        for database in databases:
            if rids.text(rids.database_bytes(database)) == name:
                return database
        raise Refusal(404, f"There is no database {name!r}.")

    def container(self, database: str, name: str) -> Place:
        """Raises Refusal 404; with substatus 1003, which an SDK takes for a container that is gone."""
        known = self._known.get((database, name))
        if known is not None:
            return known
        found = self._catalog.container(database, name)
        if found is not None:
            place = self._known[database, name] = _place(database, name, found)
            return place
        try:
            database = self.database(database)
        except Refusal as refusal:
            refusal.substatus = OWNER_NOT_FOUND
            raise
        for place in self.containers(database):
            if name in (place.id, place.rid):
                return place
        raise Refusal(404, f"There is no container {name!r} in the database {database!r}.", OWNER_NOT_FOUND)

    def containers(self, database: str) -> list[Place]:
        return [
            _place(database, each.name.rpartition("/")[2], each)
            for each in self._catalog.containers(database)
        ]


def is_resource_id(name: str) -> bool:
    """Whether a database is named by its resource id; its children then are too."""
    return len(name) == 8 and name.endswith("==")


def _place(database: str, id: str, container: Container) -> Place:
    rid_bytes = rids.container_bytes(database, id)
    rid = rids.text(rid_bytes)
    owner = rids.text(rids.database_bytes(database))
    path = f"dbs/{database}/colls/{id}"
    return Place(id, container, rid_bytes, rid, f"dbs/{owner}/colls/{rid}/", path)
