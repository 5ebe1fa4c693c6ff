"""The Azure documents adapter keeps the contract of the port, on the emulator's Cosmos DB endpoint."""

import base64
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.azure.connections import Connection
from adapters.azure.cosmos_client import cosmos_client
from adapters.azure.documents import AzureDocuments
from core.documents import (
    BadDocumentRequest,
    Create,
    DocumentConflict,
    DocumentNotFound,
    Documents,
    DocumentsUnavailable,
    DocumentTimeout,
    Increment,
    Patch,
    PreconditionFailed,
    Query,
    RemoveField,
    SetField,
    TooManyRequests,
    TransientDocumentError,
    Where,
)
from core.json import Json
from emulator.documents.engine import DocumentsEngine
from emulator.wire.cosmos.server import CosmosServer
from tests.charges import Charges
from tests.contract.documents_requests import STREAM, item, refused
from tests.contract.engine_suite import EngineSuite

pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")

KEY = base64.b64encode(b"a key for tests of 64 bytes".ljust(64)).decode()


class TestAzureDocuments(EngineSuite):
    @pytest.fixture
    async def server(self, engine: DocumentsEngine) -> AsyncIterator[CosmosServer]:
        server = CosmosServer(engine, KEY)
        await server.listen("127.0.0.1", 0)
        yield server
        await server.close()

    @pytest.fixture
    async def documents(self, server: CosmosServer) -> AsyncIterator[Documents]:
        endpoint = f"http://127.0.0.1:{server.port}/"
        client = cosmos_client(Connection(endpoint, f"AccountEndpoint={endpoint};AccountKey={KEY};"))
        self.charges = Charges()
        yield AzureDocuments(client, "orderflow", self.charges)
        await client.close()

    # What this adapter has beyond the port

    async def test_a_429_that_asks_for_a_long_wait_surfaces_at_once(
        self, documents: Documents, engine: DocumentsEngine
    ) -> None:
        await documents.create("orders", STREAM, item())
        engine.fail_until(self.clock.now + 30, retry_after_s=1.5)
        for request in (
            documents.read("orders", STREAM, "1"),
            documents.batch("orders", STREAM, [Create(item("2"))]),
            documents.query("orders", Query(partition=STREAM)),
        ):
            assert (await refused(request, TooManyRequests)).retry_after_s == 1.5
        assert self.charges.requests["read", "orders"] == 1

    async def test_a_429_that_asks_for_a_short_wait_is_waited_out_once(
        self, documents: Documents, engine: DocumentsEngine
    ) -> None:
        await documents.create("orders", STREAM, item())
        engine.fail_until(self.clock.now + 30, retry_after_s=0.02, one_in=2)
        for _ in range(3):
            await documents.read("orders", STREAM, "1")
        assert self.charges.requests["read", "orders"] > 3
        engine.fail_until(self.clock.now + 30, retry_after_s=0.02)
        await refused(documents.read("orders", STREAM, "1"), TooManyRequests)

    async def test_a_503_is_tried_twice_and_then_worth_repeating(
        self, documents: Documents, engine: DocumentsEngine
    ) -> None:
        await documents.create("orders", STREAM, item())
        engine.fail_until(self.clock.now + 30, one_in=2)
        await documents.read("orders", STREAM, "1")
        await documents.read("orders", STREAM, "1")
        engine.fail_until(self.clock.now + 30)
        await refused(documents.create("orders", STREAM, item("2")), DocumentsUnavailable)

    async def test_a_server_that_is_gone_is_unavailable_and_is_found_again_when_it_is_back(
        self, documents: Documents, engine: DocumentsEngine, server: CosmosServer
    ) -> None:
        await documents.create("orders", STREAM, item())
        port = server.port
        await server.close()
        for request in (
            documents.create("orders", STREAM, item("2")),
            documents.read("orders", STREAM, "1"),
            documents.query("orders", Query()),
            documents.query("payments", Query()),
        ):
            error = await refused(request, TransientDocumentError)
            assert isinstance(error, DocumentsUnavailable | DocumentTimeout)
        again = CosmosServer(engine, KEY)
        await again.listen("127.0.0.1", port)
        await documents.create("orders", STREAM, item("2"))
        assert (await documents.read("orders", STREAM, "1")).item["id"] == "1"
        await again.close()

    async def test_a_write_whose_answer_is_lost_is_not_repeated_and_its_outcome_is_unknown(
        self, documents: Documents, server: CosmosServer
    ) -> None:
        losing = False
        lost = []
        answer = server._server.request_handler

        async def answer_or_lose(request: web.BaseRequest) -> web.StreamResponse:
            answered = await answer(request)
            if losing and request.transport is not None:
                lost.append((request.method, answered.status))
                request.transport.abort()
            return answered

        server._server.request_handler = answer_or_lose
        await documents.create("orders", STREAM, item())
        losing = True
        await refused(documents.create("orders", STREAM, item("2")), DocumentTimeout)
        await refused(documents.batch("orders", STREAM, [Create(item("3"))]), DocumentTimeout)
        assert [status for method, status in lost if method == "POST"] == [201, 200]
        losing = False
        for id in ("2", "3"):
            await documents.read("orders", STREAM, id)

    async def test_a_container_that_is_not_there_is_named(self, documents: Documents) -> None:
        error = await refused(documents.read("nowhere", "a", "1"), BadDocumentRequest)
        assert "'nowhere'" in str(error)

    async def test_ids_that_are_lost_in_a_url_can_be_used_all_the_same(self, documents: Documents) -> None:
        for id in (".", ".."):
            await refused(documents.read("orders", STREAM, id), DocumentNotFound)
            created = await documents.create("orders", STREAM, item(id, n=1))
            await documents.patch(
                "orders", STREAM, id, [Increment("n", 1)], [Where("n", "=", 1)], created.etag
            )
            read = await documents.read("orders", STREAM, id)
            assert read.item["n"] == 2
            error = await refused(
                documents.replace("orders", STREAM, item(id), created.etag), PreconditionFailed
            )
            assert error.operation is None
            await documents.replace("orders", STREAM, item(id, n=3), read.etag)
            await documents.delete("orders", STREAM, id)
            await refused(documents.delete("orders", STREAM, id), DocumentNotFound)

    async def test_every_answer_has_its_charge_recorded_refusals_too(self, documents: Documents) -> None:
        await documents.create("orders", STREAM, item())
        await refused(documents.create("orders", STREAM, item()), DocumentConflict)
        await documents.read("orders", STREAM, "1")
        await documents.patch("orders", STREAM, "1", [SetField("n", 1)])
        await refused(documents.batch("orders", STREAM, [Create(item())]), DocumentConflict)
        await documents.query("orders", Query(partition=STREAM))
        await documents.delete("orders", STREAM, "1")
        assert self.charges.requests == {
            ("create", "orders"): 2,
            ("read", "orders"): 1,
            ("patch", "orders"): 1,
            ("batch", "orders"): 1,
            ("query", "orders"): 1,
            ("delete", "orders"): 1,
        }
        assert all(self.charges.request_units[operation] > 0 for operation in self.charges.requests)

    @given(
        texts=st.lists(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
            min_size=2,
            max_size=2,
            unique=True,
        )
    )
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    async def test_no_text_breaks_out_of_a_condition(self, documents: Documents, texts: list[str]) -> None:
        """Without NUL: the engine's store takes it for the end of a string."""
        text, other = texts
        await documents.upsert("orders", STREAM, item(text=text))
        take = [SetField("n", 1)]
        await documents.patch("orders", STREAM, "1", take, [Where("text", "=", text)])
        await refused(
            documents.patch("orders", STREAM, "1", take, [Where("text", "=", other)]), PreconditionFailed
        )
        for wanted, count in ((text, 1), (other, 0)):
            page = await documents.query("orders", Query((Where("text", "=", wanted),), STREAM))
            assert len(page.items) == count

    @pytest.mark.parametrize("field", ["", "a b", 'a"]', "a.", "c.a OR true", "a/b", "1", "a[0]"])
    async def test_no_field_breaks_out_of_a_condition(self, documents: Documents, field: str) -> None:
        await documents.create("orders", STREAM, item(a=1))
        for request in (
            documents.query("orders", Query((Where(field, "=", 1),))),
            documents.query("orders", Query(order_by=field)),
            documents.patch("orders", STREAM, "1", [SetField("n", 1)], [Where(field, "=", 1)]),
            documents.patch("orders", STREAM, "1", [SetField(field, 1)]),
            documents.batch("orders", STREAM, [Patch("1", (RemoveField(field),))]),
        ):
            await refused(request, BadDocumentRequest)

    @pytest.mark.parametrize("field", ["order", "value", "group", "by", "a-b", "where.select"])
    async def test_fields_may_be_named_as_words_of_the_query_language(
        self, documents: Documents, field: str
    ) -> None:
        value: Json = 1
        for name in reversed(field.split(".")):
            value = {name: value}
        assert isinstance(value, dict)
        await documents.create("orders", STREAM, item(**value))
        query = Query((Where(field, "=", 1),), STREAM, order_by=field)
        assert len((await documents.query("orders", query)).items) == 1
        await documents.patch("orders", STREAM, "1", [Increment(field, 1)], [Where(field, "=", 1)])

    async def test_pages_ordered_across_partitions_take_changes_between_them(
        self, documents: Documents
    ) -> None:
        """Items with the same value are neither left out nor given twice, also when one comes or goes."""
        for n in range(4):
            for stream in ("ord-1", "ord-2", "ord-3"):
                await documents.create("orders", stream, item(f"{n}", stream, at=n // 2))
        first = await documents.query("orders", Query(order_by="at", limit=4))
        assert [one["at"] for one in first.items] == [0, 0, 0, 0]
        gone = first.items[0]
        await documents.delete("orders", str(gone["stream"]), str(gone["id"]))
        await documents.create("orders", "ord-1", item("new", at=0))
        await documents.create("orders", "ord-1", item("late", at=-1))
        found = [*first.items]
        token = first.continuation
        while token is not None:
            page = await documents.query("orders", Query(order_by="at", limit=4, continuation=token))
            found += page.items
            token = page.continuation
        assert [one["at"] for one in found] == [0] * 7 + [1] * 6
        assert len({(one["stream"], one["id"]) for one in found}) == 13

    async def test_a_page_across_partitions_is_not_continued_after_what_is_no_string_or_number(
        self, documents: Documents
    ) -> None:
        for n in range(2):
            await documents.create("orders", f"ord-{n}", item(stream=f"ord-{n}", at=True))
        await refused(documents.query("orders", Query(order_by="at", limit=1)), BadDocumentRequest)
        assert len((await documents.query("orders", Query(order_by="at", limit=2))).items) == 2
