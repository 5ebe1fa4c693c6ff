"""Random requests to the documents engine, compared with a dictionary."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from emulator.documents.engine import FEED_RANGES, DocumentsEngine
from emulator.documents.model import (
    Condition,
    Container,
    Operation,
    Patch,
    PatchStep,
    Remove,
    RequestFailed,
    Write,
)
from emulator.documents.schema import SCHEMA
from emulator.documents.writes import as_item
from emulator.metrics import Metrics
from emulator.store import Store
from tests.emulator.documents_model import Key, Model, Refused, holds, rank

partitions = st.sampled_from(["p", "q"])
ids = st.sampled_from(["a", "b", "c"])
scalars = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, "", "a", "b", "é"])
values = scalars | st.just([1]) | st.just({"n": 1})
bodies = st.fixed_dictionaries(
    {},
    optional={
        "x": values,
        "deep": st.fixed_dictionaries({}, optional={"n": scalars}),
        "ttl": st.sampled_from([-1, -1, 1, 2]),
    },
)
etags = st.sampled_from(["none", "none", "current", "stale"])
paths = st.sampled_from(["x", "deep.n", "missing"])
equalities = st.builds(Condition, paths, st.sampled_from(["=", "!="]), scalars)
ranges = st.builds(
    Condition,
    paths,
    st.sampled_from(["<", "<=", ">", ">="]),
    st.integers(-2, 2) | st.sampled_from(["", "a", "b"]),
)
conditions = st.just([]) | st.lists(equalities | ranges, min_size=1, max_size=2)
steps = st.lists(
    st.builds(PatchStep, st.just("set"), paths | st.just("deep"), values)
    | st.builds(PatchStep, st.just("set"), st.just("ttl"), st.sampled_from([2, -1, 0, "soon"]))
    | st.builds(PatchStep, st.just("increment"), paths, st.integers(-2, 2))
    | st.builds(PatchStep, st.just("remove"), paths | st.sampled_from(["ttl", "x.n"])),
    min_size=1,
    max_size=3,
)
requests = st.one_of(
    st.tuples(st.sampled_from(["create", "upsert", "replace"]), ids, bodies, etags),
    st.tuples(st.just("remove"), ids, st.none(), etags),
    st.tuples(st.just("patch"), ids, st.tuples(steps, conditions), etags),
)


class Clock:
    def __init__(self, model: Model) -> None:
        self._model = model

    def time(self) -> float:
        return self._model.now


class DocumentsMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.store = self.runner.run(self._open())
        containers = {name: Container(name, "pk", -1) for name in ("things", "others")}
        self.engine = DocumentsEngine(self.store, Clock(self.model), containers, Metrics())
        self.positions = [0] * FEED_RANGES
        self.seen: dict[Key, str] = {}

    async def _open(self) -> Store:
        path = Path(self.folder.name) / "store"
        return Store(path, schema=SCHEMA, commit_inline=True, synchronous="OFF")

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()
        self.folder.cleanup()

    def operation(self, partition: str, request: tuple[str, str, Any, str]) -> Operation:
        kind, id, content, which = request
        etag = self.model.etag((partition, id), which)
        if kind == "remove":
            return Remove(id, etag)
        if kind == "patch":
            return Patch(id, content[0], content[1], etag)
        item = {"id": id, "pk": partition, **content}
        return Write(kind, item, etag if kind == "replace" else None)  # type: ignore[arg-type]

    async def send(self, partition: str, operation: Operation) -> dict[str, Any] | None:
        """One operation by the call of its own."""
        match operation:
            case Write("create", item, _):
                return await self.engine.create("things", partition, item)
            case Write("upsert", item, _):
                return await self.engine.upsert("things", partition, item)
            case Write(_, item, etag):
                return await self.engine.replace("things", partition, item, etag)
            case Remove(id, etag):
                await self.engine.delete("things", partition, id, etag)
                return None
            case Patch(id, changes, wanted, etag):
                return await self.engine.patch("things", partition, id, changes, wanted, etag)

    @initialize(first=st.lists(bodies, min_size=6, max_size=6))
    def fill(self, first: list[dict[str, Any]]) -> None:
        """Random operations alone would mostly meet nothing."""
        for number, body in enumerate(first):
            self.one_operation("pq"[number % 2], ("create", "abc"[number // 2], body, "none"))

    @rule(partition=partitions, request=requests)
    def one_operation(self, partition: str, request: tuple[str, str, Any, str]) -> None:
        operation = self.operation(partition, request)
        try:
            keys = self.model.perform(partition, [operation])
        except Refused as expected:
            self.expect_failure(self.send(partition, operation), expected.status, None)
        else:
            self.accept(keys, [self.runner.run(self.send(partition, operation))])

    @rule(partition=partitions, batch=st.lists(requests, min_size=1, max_size=5))
    def a_batch(self, partition: str, batch: list[tuple[str, str, Any, str]]) -> None:
        operations = [self.operation(partition, request) for request in batch]
        call = self.engine.batch("things", partition, operations)
        try:
            keys = self.model.perform(partition, operations)
        except Refused as expected:
            self.expect_failure(call, expected.status, expected.args[1])
        else:
            self.accept(keys, [None if row is None else as_item(row) for row in self.runner.run(call)])

    def expect_failure(self, call: Any, status: int, operation: int | None) -> None:
        with pytest.raises(RequestFailed) as caught:
            self.runner.run(call)
        assert (caught.value.status, caught.value.operation) == (status, operation)

    def accept(self, keys: list[Key | None], answers: list[dict[str, Any] | None]) -> None:
        assert [key is None for key in keys] == [answer is None for answer in answers]
        for key, answer in zip(keys, answers, strict=True):
            if key is not None and answer is not None and key in self.model.items:
                # The last answer of a key is the one that counts, so the later overwrites the earlier here.
                self.model.items[key].etag = answer["_etag"]
                self.model.stale_etag = f'"{int(answer["_etag"].strip(chr(34)), 16) - 1:x}"'

    @rule(seconds=st.sampled_from([0.5, 1, 1, 1]))
    def time_passes(self, seconds: float) -> None:
        self.model.now += seconds

    @rule()
    def purge(self) -> None:
        self.runner.run(self.engine.purge())
        self.model.items = self.model.live()
        assert self.store.read("SELECT count(*) FROM documents") == [(len(self.model.items),)]

    @rule(
        where=conditions,
        partition=st.none() | partitions,
        order_by=st.none() | paths | st.just("_ts"),
        descending=st.booleans(),
        limit=st.integers(1, 4),
    )
    def query(
        self,
        where: list[Condition],
        partition: str | None,
        order_by: str | None,
        descending: bool,
        limit: int,
    ) -> None:
        found: list[dict[str, Any]] = []
        continuation = None
        while True:
            page, continuation = self.runner.run(
                self.engine.query(
                    "things",
                    where=where,
                    partition=partition,
                    order_by=order_by,
                    descending=descending,
                    limit=limit,
                    continuation=continuation,
                )
            )
            assert len(page) <= limit
            found += page
            assert len(found) <= len(self.model.items)
            if continuation is None:
                break
        expected = {
            key: item
            for key, item in self.model.live().items()
            if partition in (None, key[0]) and all(holds(item.fields, condition) for condition in where)
        }
        assert {(item["pk"], item["id"]): item["_etag"] for item in found} == {
            key: item.etag for key, item in expected.items()
        }
        assert len(found) == len(expected)
        if order_by is not None:
            ranks = [rank(item, order_by) for item in found]
            assert ranks == sorted(ranks, reverse=descending)

    @rule(part=st.integers(0, FEED_RANGES - 1), limit=st.integers(1, 4))
    def read_some_of_the_feed(self, part: int, limit: int) -> None:
        changes = self.engine.changes("things", part, self.positions[part], limit)
        assert len(changes) <= limit
        for change in changes:
            assert change.sequence > self.positions[part]
            self.positions[part] = change.sequence
            item = change.item
            key = item["pk"], item["id"]
            assert self.model.live()[key].etag == item["_etag"], "the feed shows the latest version"  # type: ignore[index]
            self.seen[key] = item["_etag"]  # type: ignore[index,assignment]

    @rule()
    def read_all_of_the_feed(self) -> None:
        for part in range(FEED_RANGES):
            self.read_some_of_the_feed(part, 1000)
        live = self.model.live()
        assert {key: etag for key, etag in self.seen.items() if key in live} == {
            key: item.etag for key, item in live.items()
        }

    @invariant()
    def every_item_is_read_as_it_should_be(self) -> None:
        live = self.model.live()
        rows = self.store.read("SELECT partition, id FROM documents WHERE container = 'things'")
        for partition, id in {*rows, *live, ("p", "never")}:
            expected = live.get((partition, id))
            if expected is None:
                self.expect_failure(self.engine.read("things", partition, id), 404, None)
            else:
                item = self.runner.run(self.engine.read("things", partition, id))
                assert item == expected.fields | {"_etag": expected.etag, "_ts": expected.ts}
        assert not any(self.engine.changes("others", part, 0, 1) for part in range(FEED_RANGES))


TestDocumentsEngine = DocumentsMachine.TestCase
TestDocumentsEngine.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
