"""What the Cosmos endpoint makes of keys, paths, verbs and bodies, also of those that no SDK sends."""

import asyncio
import json
import tempfile
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from azure.cosmos.aio import ContainerProxy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.documents.model import MAX_ITEM_BYTES
from emulator.wire.cosmos.exchange import Refusal
from emulator.wire.cosmos.sql import parse
from tests.wire.cosmos_endpoint import (
    KEY,
    CosmosTests,
    Endpoint,
    Reply,
    authorization,
    endpoint_at,
    failed,
    send,
)

DOCS = "/dbs/shop/colls/orders/docs"
LINK = "dbs/shop/colls/orders"
OTHER_KEY = "bm90IHRoZSBrZXk="


def error_of(reply: Reply) -> tuple[int, str]:
    assert reply.json["message"]
    assert len(reply.headers["x-ms-activity-id"]) == 36
    return reply.status, reply.json["code"]


class TestKeys(CosmosTests):
    async def test_a_client_with_another_key_is_refused(self, endpoint: Endpoint) -> None:
        client = endpoint.client(OTHER_KEY, retry_total=0)
        try:
            with pytest.raises(Exception, match="wrong key") as caught:
                await client.__aenter__()
            assert caught.value.status_code == 401
        finally:
            await client.close()

    @pytest.mark.parametrize(
        ("verb", "kind", "link", "key", "date_s"),
        [
            ("GET", "docs", LINK, OTHER_KEY, 0),
            ("POST", "docs", LINK, KEY, 0),
            ("GET", "colls", LINK, KEY, 0),
            ("GET", "docs", "dbs/shop/colls/stock", KEY, 0),
            ("GET", "docs", LINK, KEY, 60),
        ],
    )
    async def test_a_signature_of_another_request_is_refused(
        self, endpoint: Endpoint, verb: str, kind: str, link: str, key: str, date_s: int
    ) -> None:
        signed = formatdate(endpoint.clock.time() + date_s, usegmt=True)
        token = authorization(verb, kind, link, signed, key)
        reply = await send(endpoint, "GET", DOCS, authorization=token)
        assert error_of(reply) == (401, "Unauthorized")

    @pytest.mark.parametrize(
        "token",
        ["", "nonsense", "type%3Daad%26ver%3D1.0%26sig%3Dx", "type=resource&ver=1&sig=x", "Bearer x", "ü"],
    )
    async def test_no_other_kind_of_token_is_served(self, endpoint: Endpoint, token: str) -> None:
        reply = await send(endpoint, "GET", DOCS, authorization=token)
        assert error_of(reply) == (401, "Unauthorized")

    async def test_a_request_without_token_is_refused(self, endpoint: Endpoint) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.server.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b" 401 " in (await reader.read()).split(b"\r\n")[0]
        writer.close()
        await writer.wait_closed()

    @pytest.mark.parametrize("off_s", [-905, 905])
    async def test_a_date_more_than_a_quarter_of_an_hour_off_is_refused_as_the_service_does(
        self, endpoint: Endpoint, off_s: int
    ) -> None:
        date = formatdate(endpoint.clock.time() + off_s, usegmt=True)
        token = authorization("GET", "docs", LINK, date)
        reply = await send(endpoint, "GET", DOCS, authorization=token, x_ms_date=date)
        assert error_of(reply) == (403, "Forbidden")
        assert "token expiry time" in reply.json["message"]

    async def test_a_date_that_is_none_is_refused(self, endpoint: Endpoint) -> None:
        token = authorization("GET", "docs", LINK, "yesterday")
        reply = await send(endpoint, "GET", DOCS, authorization=token, x_ms_date="yesterday")
        assert error_of(reply) == (401, "Unauthorized")


class TestPaths(CosmosTests):
    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/nonsense", 404),
            ("/dbs/shop/docs", 404),
            ("/dbs/shop/colls/orders/docs/1/attachments", 404),
            ("/dbs/shop/colls/orders/sprocs", 400),
            ("/dbs/shop/users", 400),
            ("/offers", 400),
            ("/dbs//colls", 400),
            ("/dbs/%ff/colls", 400),
        ],
    )
    async def test_paths_that_are_not_served_are_refused(
        self, endpoint: Endpoint, path: str, status: int
    ) -> None:
        reply = await send(endpoint, "GET", path)
        assert reply.status == status
        assert reply.json["code"] == {400: "BadRequest", 404: "NotFound"}[status]

    @pytest.mark.parametrize(
        ("verb", "path", "kind"),
        [
            ("DELETE", "/dbs/shop", "dbs"),
            ("DELETE", "/dbs/shop/colls/orders", "colls"),
            ("PUT", "/dbs/shop/colls/orders", "colls"),
            ("POST", "/", ""),
            ("PUT", DOCS, "docs"),
            ("POST", f"{DOCS}/1", "docs"),
            ("OPTIONS", f"{DOCS}/1", "docs"),
            ("POST", "/dbs/shop/colls/orders/pkranges", "pkranges"),
        ],
    )
    async def test_verbs_that_are_not_served_are_refused(
        self, endpoint: Endpoint, verb: str, path: str, kind: str
    ) -> None:
        feeds = (DOCS, "/dbs/shop/colls/orders/pkranges")
        link = LINK if path in feeds else path.strip("/")
        reply = await send(endpoint, verb, path, kind=kind, link=link, body=b"{}")
        assert error_of(reply) == (405, "MethodNotAllowed")
        assert verb in reply.json["message"]

    @pytest.mark.parametrize("link", ["dbs/none/colls/orders", "dbs/shop/colls/none"])
    async def test_a_missing_container_is_told_from_a_missing_item(
        self, endpoint: Endpoint, link: str
    ) -> None:
        reply = await send(
            endpoint, "GET", f"/{link}/docs/1", link=f"{link}/docs/1", x_ms_documentdb_partitionkey='["s"]'
        )
        assert (reply.status, reply.headers["x-ms-substatus"]) == (404, "1003")

    async def test_containers_can_be_named_by_their_resource_id(
        self, endpoint: Endpoint, orders: ContainerProxy
    ) -> None:
        await orders.create_item({"id": "1", "stream": "s"})
        properties = await orders.read()
        path = f"/{properties['_self']}docs"
        reply = await send(endpoint, "GET", path, link=properties["_rid"].lower())
        assert (reply.status, reply.json["_count"]) == (200, 1)

    async def test_a_container_other_than_the_one_meant_is_refused(self, endpoint: Endpoint) -> None:
        reply = await send(endpoint, "GET", DOCS, x_ms_cosmos_intended_collection_rid="AAAAAIAAAAA=")
        assert (reply.status, reply.headers["x-ms-substatus"]) == (400, "1024")


class TestBodies(CosmosTests):
    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b'"text"',
            b"null",
            b"\xff\xfe",
            b'{"id":"1","stream":"s","n":NaN}',
            b'{"stream":"s"}',
            b'{"id":1,"stream":"s"}',
            b'{"id":"","stream":"s"}',
            b'{"id":"a/b","stream":"s"}',
            b'{"id":"1","stream":"s","ttl":0}',
            b'{"id":"1","stream":"s","n":9007199254740993}',
            b'{"id":"1","stream":"s","text":"\\ud800"}',
            b"[" * 100_000,
        ],
    )
    async def test_a_body_that_is_no_item_is_a_bad_request(self, endpoint: Endpoint, body: bytes) -> None:
        reply = await send(endpoint, "POST", DOCS, body=body, x_ms_documentdb_partitionkey='["s"]')
        assert error_of(reply) == (400, "BadRequest")

    @pytest.mark.parametrize(
        "key", [None, "", "s", "[]", '["s","t"]', "[1]", "[null]", "[{}]", '"s"', '["' + "x" * 3000 + '"]']
    )
    @pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "PATCH", "DELETE"])
    async def test_a_partition_key_that_is_none_is_a_bad_request(
        self, endpoint: Endpoint, key: str | None, verb: str
    ) -> None:
        headers = {} if key is None else {"x_ms_documentdb_partitionkey": key}
        body: Any = {"id": "1", "stream": "s"}
        if verb == "PATCH":
            body = {"operations": [{"op": "set", "path": "/n", "value": 1}]}
        path, link = (DOCS, LINK) if verb == "POST" else (f"{DOCS}/1", f"{LINK}/docs/1")
        reply = await send(endpoint, verb, path, link=link, body=body, **headers)
        assert error_of(reply) == (400, "BadRequest")

    async def test_a_partition_key_that_is_not_the_items_has_its_substatus(self, endpoint: Endpoint) -> None:
        reply = await send(
            endpoint,
            "POST",
            DOCS,
            body={"id": "1", "stream": "s"},
            x_ms_documentdb_partitionkey='["t"]',
        )
        assert (reply.status, reply.headers["x-ms-substatus"]) == (400, "1001")

    async def test_an_id_cannot_be_changed(self, orders: ContainerProxy) -> None:
        await orders.create_item({"id": "1", "stream": "s"})
        await failed(orders.replace_item("1", {"id": "2", "stream": "s"}), 400)

    @pytest.mark.parametrize(
        "headers", [{"if_none_match": "*"}, {"if_match": '"1"', "x_ms_documentdb_is_upsert": "True"}]
    )
    async def test_conditions_that_are_not_served_are_refused(
        self, endpoint: Endpoint, headers: dict[str, str]
    ) -> None:
        headers = {"x_ms_documentdb_partitionkey": '["s"]'} | headers
        reply = await send(endpoint, "POST", DOCS, body={"id": "1", "stream": "s"}, **headers)
        assert error_of(reply) == (400, "BadRequest")

    async def test_a_read_of_what_the_client_has_is_not_repeated(
        self, endpoint: Endpoint, orders: ContainerProxy
    ) -> None:
        item = await orders.create_item({"id": "1", "stream": "s"})
        headers = {"x_ms_documentdb_partitionkey": '["s"]', "link": f"{LINK}/docs/1"}
        same = await send(endpoint, "GET", f"{DOCS}/1", if_none_match=item["_etag"], **headers)
        assert (same.status, same.body) == (304, b"")
        other = await send(endpoint, "GET", f"{DOCS}/1", if_none_match='"0"', **headers)
        assert (other.status, other.json["id"]) == (200, "1")

    @pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
    async def test_a_body_without_end_is_cut_off(self, endpoint: Endpoint) -> None:
        body = b"x" * (2 * MAX_ITEM_BYTES + 1)
        reply = await send(endpoint, "POST", DOCS, body=body, x_ms_documentdb_partitionkey='["s"]')
        assert error_of(reply) == (413, "RequestEntityTooLarge")

    @pytest.mark.parametrize(
        "sent",
        [
            b"POST /dbs HTTP/1.1\r\nHost: x\r\nContent-Length: nonsense\r\n\r\n",
            b"POST /dbs HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            b"POST /dbs HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
            b"POST /dbs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"\x00\x01\x02\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n\r\n",
        ],
    )
    async def test_what_is_no_http_ends_its_connection_only(self, endpoint: Endpoint, sent: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.server.port)
        writer.write(sent)
        writer.write_eof()
        async with asyncio.timeout(5):
            answer = await reader.read()
        assert answer == b"" or b" 400 " in answer.split(b"\r\n")[0] or b" 401 " in answer.split(b"\r\n")[0]
        writer.close()
        await writer.wait_closed()
        assert (await send(endpoint, "GET", "/dbs", kind="dbs", link="")).status == 200

    async def test_a_client_that_leaves_within_its_request_harms_nobody(self, endpoint: Endpoint) -> None:
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", endpoint.server.port)
            writer.write(b"POST /dbs HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
            await writer.drain()
            writer.transport.abort()
        assert (await send(endpoint, "GET", "/dbs", kind="dbs", link="")).status == 200


_WORDS = """SELECT * FROM c WHERE AND NOT IS_DEFINED ( ) c.n ["a"] = <> 'x' 1 -1e9 @p ORDER BY DESC TOP OFFSET
LIMIT null true . , { \\ " c._rid [{"item": c.n}] AS orderByItems payload"""


@given(st.lists(st.sampled_from(_WORDS.split()), max_size=30).map(" ".join) | st.text(max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_query_or_refused(text: str) -> None:
    with suppress(Refusal):
        parse(text)


_FLAGS = st.sampled_from(
    ["x_ms_documentdb_isquery", "x_ms_cosmos_is_batch_request", "x_ms_documentdb_is_upsert", "prefer"]
)
_FIELDS = """id stream operationType resourceBody operations op path value condition query parameters name
ifMatch"""
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["Create", "Patch", "set", "1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_FIELDS.split()),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    bodies=st.lists(st.tuples(_JSON, _FLAGS), min_size=5, max_size=20),
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_body_is_done_or_a_client_error(bodies: list[tuple[Any, str]]) -> None:
    async def run(path: Path) -> None:
        async with endpoint_at(path) as endpoint:
            for body, flag in bodies:
                text = json.dumps(body).encode()
                key = {"x_ms_documentdb_partitionkey": '["s"]'}
                headers = {flag: "True", "x_ms_cosmos_batch_atomic": "True"} | key
                item = {"link": f"{LINK}/docs/1", **key}
                for reply in (
                    await send(endpoint, "POST", DOCS, body=text, **headers),
                    await send(endpoint, "PUT", f"{DOCS}/1", body=text, **item),
                    await send(endpoint, "PATCH", f"{DOCS}/1", body=text, **item),
                ):
                    assert reply.status < 500, (body, reply.body)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder) / "store"))
