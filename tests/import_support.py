"""Imports of stock on the fakes: what is sent, handled, lost and crashed."""

from collections.abc import Awaitable, Callable, Sequence

from core.envelope import Envelope, from_json, wrap
from services.inventory import handlers
from services.inventory.csv_rows import parse
from services.inventory.import_report import ImportReport, report
from services.inventory.importing import import_chunk
from services.inventory.imports import accept
from services.inventory.messages import ImportChunk
from services.inventory.stock import UnknownSku, read_stock
from tests.fakes import START, FakeBus, FakeClock, FakeDocuments
from tests.fakes_blobs import FakeBlobs
from tests.inventory_support import Crash, reserve, stocked
from triggers.http.bodies import identifier
from triggers.http.inventory_imports import reference

CONTENT = b"sku,on_hand\na,7\nb,4\nc,x\nd,9\n"


class Shop:
    """Of `a` 5 pieces; of `b` 8, of which an order holds 6, so that 4 cannot be counted."""

    def __init__(self, documents: FakeDocuments | None = None) -> None:
        self.clock = FakeClock()
        self.documents = documents or FakeDocuments(self.clock)
        self.bus = FakeBus()
        self.blobs = FakeBlobs(self.clock)
        self.queue: list[Envelope] = []

    async def stock(self) -> "Shop":
        await stocked(self.documents, {"a": 5, "b": 8})
        await handlers.execute(self.documents, reserve("ord-1", {"b": 6}), START)
        self.documents.requests.clear()
        return self

    async def start(self, content: bytes = CONTENT, key: str | None = None) -> str:
        file = parse(content, identifier, reference)
        asked = await accept(self.documents, self.bus, self.blobs, key, content, file, self.clock.now())
        return asked[0]

    def take(self) -> list[Envelope]:
        """The commands that were sent, and are not in the queue any more then."""
        sent = [from_json(message.body) for message in self.bus.sent["inventory"]]
        self.bus.sent.clear()
        return sent

    async def handle(self, command: Envelope) -> None:
        await import_chunk(self.documents, self.bus, self.blobs, command, self.clock.now())

    async def work(self) -> Sequence[int]:
        """Until no message is left; one that was not handled to its end stays. Answers the numbers of the
        chunks."""
        numbers = []
        self.queue += self.take()
        while self.queue:
            await self.handle(self.queue[0])
            numbers.append(self.queue.pop(0).data.number)
            self.queue += self.take()
        return numbers

    def fault(self, before: Callable[[str], Awaitable[None]]) -> None:
        """From now on in front of each request to the store, the queue or the blobs."""
        self.documents.before = self.bus.before = self.blobs.before = before

    async def report(self, import_id: str) -> ImportReport:
        return await report(self.documents, import_id)

    async def on_hand(self, *skus: str) -> list[int | None]:
        found: list[int | None] = []
        for sku in skus:
            try:
                found.append((await read_stock(self.documents, sku)).on_hand)
            except UnknownSku:
                found.append(None)
        return found


def file_of(rows: int) -> bytes:
    return b"sku,quantity\n" + b"".join(b"sku-%d,%d\n" % (n, n + 1) for n in range(rows))


def chunk(import_id: str, number: int, id: str | None = None) -> Envelope:
    return wrap(
        ImportChunk(import_id, number),
        id=id or f"{import_id}:inventory.import_chunk:{number}",
        source="inventory",
        subject=import_id,
        time=START,
        correlation_id=import_id,
        causation_id=import_id,
    )


async def crashes(work: Awaitable[object]) -> bool:
    try:
        await work
    except Crash:
        return True
    except BaseExceptionGroup as group:
        return group.split(Crash)[1] is None
    return False


async def no_fault(request: str) -> None:
    """Everything works."""
