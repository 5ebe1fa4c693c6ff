"""The audit trail of an API without a host: the feeds are read when a test says so."""

from typing import Any

from core.chain import HASH, entry_hash
from core.json import JsonObject
from services.audit.pages import history_of
from tests.fakes import START, FakeDocuments
from tests.order_support import COMPLETION, append, place
from tests.unit.http_support import Api, content
from triggers.change_feed.audit import event_of, record_changes

CHAINS = ("orders", "payments", "shipments", "reservations")


def written(documents: FakeDocuments, container: str, stream: str) -> list[JsonObject]:
    """The documents of a stream, as a feed gives them."""
    return sorted(documents.items(container, stream), key=lambda item: str(item["_etag"]))


def chain(length: int, stream: str = "s", text: str = "") -> list[JsonObject]:
    """Events of a stream as they are written."""
    entries: list[JsonObject] = []
    previous = ""
    for number in range(1, length + 1):
        entry: JsonObject = {
            "id": str(number),
            "stream": stream,
            "kind": "event",
            "version": number,
            "type": "orders.noted",
            "time": START.isoformat(),
            "actor": "system",
            "correlation_id": stream,
            "causation_id": stream,
            "data": {"text": text},
        }
        previous = entry_hash(previous, entry)
        entries.append({**entry, HASH: previous, "_etag": "e", "_ts": 1})
    return entries


async def bring(api: Api, stream: str, *chains: str) -> None:
    """Let the feeds bring all that there is."""
    for chain in chains or CHAINS:
        entries = history_of if chain == "reservations" else event_of
        await record_changes(
            api.documents, api.bus, chain, written(api.documents, chain, stream), entries=entries
        )


async def completed(api: Api) -> str:
    """An order of six events, all of them in the audit trail."""
    await append(api.documents, "ord-1", place("ord-1"), *COMPLETION, clock=api.clock)
    await bring(api, "ord-1")
    return "ord-1"


async def shown(api: Api, stream: str, **query: str) -> Any:
    return content(await api.call("get_audit_trail", route={"stream": stream}, query=query))


async def verdict(api: Api, stream: str, chain: str = "orders") -> Any:
    (found,) = (await shown(api, stream, chain=chain))["verified"]["chains"]
    return found


async def found(api: Api, stream: str, chain: str = "orders") -> tuple[str, int | None]:
    verified = await verdict(api, stream, chain)
    return verified["status"], verified["broken_at"]


async def tamper_with_page(api: Api, stream: str, id: str, number: int, **fields: object) -> None:
    """Change an entry of a page."""
    page = (await api.documents.read("audit", stream, id)).item
    entries = [{**entry, **fields} if entry["version"] == number else entry for entry in page["entries"]]  # type: ignore[union-attr,call-overload,index]
    await api.documents.upsert("audit", stream, {**page, "entries": entries})  # type: ignore[dict-item]
