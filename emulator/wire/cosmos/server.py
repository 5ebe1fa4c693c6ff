"""Which part of the protocol answers a request."""

from __future__ import annotations

import asyncio
import base64
import logging
import sqlite3
import uuid
from typing import Final

from aiohttp import web

from emulator.clock import Clock, SystemClock
from emulator.documents.engine import DocumentsEngine
from emulator.documents.model import MAX_ITEM_BYTES, RequestFailed
from emulator.http_sockets import HttpSockets
from emulator.metrics import Metrics
from emulator.store import StoreStopped
from emulator.wire.cosmos import auth, batches, charges, feed, items, metering, queries, resources
from emulator.wire.cosmos.exchange import (
    CONTAINER_CHANGED,
    Answer,
    Refusal,
    Request,
    error_answer,
    refusal_of,
)
from emulator.wire.cosmos.places import Place, Places, is_resource_id
from emulator.wire.cosmos.routes import Target, parse

_MAX_BODY_BYTES: Final = 2 * MAX_ITEM_BYTES
"""An item may have 2 MiB as the service counts it; escaped it has more."""

_POINT_OPERATIONS: Final = {
    "GET": items.read,
    "PUT": items.replace,
    "PATCH": items.patch,
    "DELETE": items.delete,
}

_log = logging.getLogger(__name__)


class CosmosServer(HttpSockets):
    """`key` is the account's, in base64. `clock` is the one that the dates of requests are compared with.
    `body_s`: how long a request's body may take to come.
    """

    def __init__(
        self,
        documents: DocumentsEngine,
        key: str,
        clock: Clock | None = None,
        metrics: Metrics | None = None,
        *,
        body_s: float = 30.0,
    ) -> None:
        super().__init__(self._answer, _MAX_BODY_BYTES)
        self._documents = documents
        self._key = base64.b64decode(key)
        self._clock = clock or SystemClock()
        self._metrics = metrics or Metrics()
        self._places = Places(documents.catalog)
        self._body_s = body_s

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        activity = request.headers.get("x-ms-activity-id") or str(uuid.uuid4())
        path = request.raw_path.partition("?")[0]
        asked = Request(request.method, path, request.headers, b"", request.host)
        try:
            if request.body_exists:
                asked = asked._replace(body=await self._body(request))
            answer = await self._serve(asked)
        except Refusal as refusal:
            answer = error_answer(refusal, activity)
        except RequestFailed as failure:
            answer = error_answer(
                refusal_of(failure), activity, failure.retry_after_s if failure.status == 429 else None
            )
            answer.charge = charges.REFUSED if failure.status in {404, 409, 412} else 0.0
        except web.HTTPRequestEntityTooLarge:
            answer = error_answer(Refusal(413, f"The body has more than {_MAX_BODY_BYTES} bytes."), activity)
        except (StoreStopped, sqlite3.Error) as error:
            answer = error_answer(Refusal(503, f"The store cannot be used: {error}"), activity)
        except Exception:
            _log.exception("%s %s failed, activity %s", request.method, request.raw_path, activity)
            answer = error_answer(Refusal(500, "The emulator has a fault: see its log."), activity)
        headers = answer.headers
        headers["x-ms-request-charge"] = f"{answer.charge:.2f}"
        headers["x-ms-activity-id"] = activity
        if answer.body:
            headers["content-type"] = "application/json"
        metering.count(self._metrics, asked, request.raw_headers, answer)
        return web.Response(status=answer.status, body=answer.body or None, headers=headers)

    async def _body(self, request: web.BaseRequest) -> bytes:
        try:
            async with asyncio.timeout(self._body_s):
                return await request.read()
        except TimeoutError:
            raise Refusal(408, f"The body did not come within {self._body_s:g} s.") from None

    async def _serve(self, request: Request) -> Answer:
        target = parse(request.path)
        names = target.names
        by_resource_id = bool(names) and is_resource_id(names[0])
        link = target.link.rpartition("/")[2].lower() if by_resource_id else target.link
        auth.check(request.headers, request.method, target.resource_type, link, self._key, self._clock.time())
        if len(names) > 1 or (target.is_feed and target.resource_type not in {"dbs", "colls"}):
            place = self._places.container(names[0], names[1])
            expected = request.headers.get("x-ms-cosmos-intended-collection-rid")
            if expected is not None and expected != place.rid:
                raise Refusal(
                    400, f"The container {place.id!r} is not the {expected} meant.", CONTAINER_CHANGED
                )
            return await self._serve_container(request, target, place)
        return await self._serve_account(request, target)

    async def _serve_container(self, request: Request, target: Target, place: Place) -> Answer:
        engine = self._documents
        match (request.method, target.resource_type, target.is_feed):
            case ("POST", "docs", True):
                return await self._post_docs(request, place)
            case (method, "docs", False) if method in _POINT_OPERATIONS:
                return await _POINT_OPERATIONS[method](engine, place, target.names[2], request)
            case ("GET", "docs", True):
                answer = feed.changes if "a-im" in request.headers else queries.everything
                return await answer(engine, place, request)
            case ("GET", "colls", False):
                return resources.container(place)
            case ("GET", "pkranges", True):
                return resources.ranges(place, request)
        raise _not_allowed(request, target)

    async def _post_docs(self, request: Request, place: Place) -> Answer:
        if request.flag("x-ms-cosmos-is-batch-request"):
            return await batches.batch(self._documents, place, request)
        if request.flag("x-ms-documentdb-isquery") or request.flag("x-ms-cosmos-is-query-plan-request"):
            return await queries.query(self._documents, place, request)
        return await items.create(self._documents, place, request)

    async def _serve_account(self, request: Request, target: Target) -> Answer:
        catalog = self._documents.catalog
        if request.flag("x-ms-documentdb-isquery"):
            raise Refusal(400, "Queries are served by the emulator for items only.")
        match (request.method, target.resource_type, target.is_feed):
            case ("GET", "", False):
                return resources.account(request)
            case ("GET", "dbs", True):
                return resources.databases(catalog)
            case ("POST", "dbs", True):
                return await resources.create_database(catalog, request)
            case ("GET", "dbs", False):
                return resources.database(self._places.database(target.names[0]))
            case ("GET", "colls", True):
                return resources.containers(self._places, self._places.database(target.names[0]))
            case ("POST", "colls", True):
                database = self._places.database(target.names[0])
                return await resources.create_container(catalog, self._places, database, request)
        raise _not_allowed(request, target)


def _not_allowed(request: Request, target: Target) -> Refusal:
    what = f"the feed {target.resource_type}" if target.is_feed else f"a resource {target.resource_type!r}"
    return Refusal(405, f"{request.method} is not served by the emulator for {what}.")
