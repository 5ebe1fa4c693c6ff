"""What every adapter of `core.documents.Documents` must do. Subclass it and give the documents."""

from abc import ABC, abstractmethod
from typing import Any

import pytest

from core.documents import (
    MAX_BATCH_OPERATIONS,
    MAX_ITEM_BYTES,
    MAX_PATCH_OPERATIONS,
    BadDocumentRequest,
    Create,
    Delete,
    DocumentConflict,
    DocumentError,
    DocumentNotFound,
    Documents,
    DocumentTooLarge,
    Increment,
    Patch,
    PatchOperation,
    PreconditionFailed,
    Query,
    RemoveField,
    Replace,
    SetField,
    Upsert,
    Where,
)
from core.json import Json, JsonObject
from tests.contract.documents_queries import Queries
from tests.contract.documents_requests import STREAM, all_items, item, refused, without_system_fields


class DocumentsSuite(Queries, ABC):
    """Uses the containers `orders` (partition key /stream) and `sandbox` (/id) of `topology/cosmos.json`."""

    @pytest.fixture
    @abstractmethod
    def documents(self) -> Documents:
        """On the containers of `topology/cosmos.json`, all of them empty."""

    @abstractmethod
    async def let_pass(self, seconds: float) -> None:
        """Return when the store's clock is so much later."""

    # Points

    async def test_an_item_is_read_as_it_was_created(self, documents: Documents) -> None:
        written = item(text="naïve 😀", number=-1.5, nested={"list": [1, None, True], "empty": {}})
        created = await documents.create("orders", STREAM, written)
        read = await documents.read("orders", STREAM, "1")
        assert without_system_fields(created.item) == without_system_fields(read.item) == written
        assert created.etag == read.etag
        assert isinstance(read.item["_ts"], int)

    async def test_changing_what_was_handed_over_or_back_does_not_change_the_item(
        self, documents: Documents
    ) -> None:
        lines: list[Json] = [1]
        created = await documents.create("orders", STREAM, item(lines=lines))
        lines.append(2)
        returned = created.item["lines"]
        assert returned == [1]
        assert isinstance(returned, list)
        returned.append(3)
        assert (await documents.read("orders", STREAM, "1")).item["lines"] == [1]

    async def test_a_missing_item_is_not_found(self, documents: Documents) -> None:
        await documents.create("orders", STREAM, item())
        await refused(documents.read("orders", STREAM, "2"), DocumentNotFound)
        await refused(documents.read("orders", "ord-2", "1"), DocumentNotFound)
        await refused(documents.read("payments", STREAM, "1"), DocumentNotFound)
        await refused(documents.replace("orders", STREAM, item("2")), DocumentNotFound)
        await refused(documents.delete("orders", STREAM, "2"), DocumentNotFound)
        await refused(documents.patch("orders", STREAM, "2", [SetField("n", 1)]), DocumentNotFound)

    async def test_creating_an_id_again_is_a_conflict_within_its_partition_only(
        self, documents: Documents
    ) -> None:
        await documents.create("orders", STREAM, item(n=1))
        await refused(documents.create("orders", STREAM, item(n=2)), DocumentConflict)
        assert (await documents.read("orders", STREAM, "1")).item["n"] == 1
        await documents.create("orders", "ord-2", item(stream="ord-2"))

    async def test_an_upsert_creates_and_overwrites(self, documents: Documents) -> None:
        await documents.upsert("orders", STREAM, item(n=1, old=True))
        stored = await documents.upsert("orders", STREAM, item(n=2))
        assert without_system_fields(stored.item) == item(n=2)
        assert without_system_fields((await documents.read("orders", STREAM, "1")).item) == item(n=2)

    async def test_every_write_gives_a_new_etag(self, documents: Documents) -> None:
        etags = [
            (await documents.create("orders", STREAM, item())).etag,
            (await documents.upsert("orders", STREAM, item())).etag,
            (await documents.replace("orders", STREAM, item())).etag,
            (await documents.patch("orders", STREAM, "1", [SetField("n", 1)])).etag,
        ]
        await documents.delete("orders", STREAM, "1")
        etags.append((await documents.create("orders", STREAM, item())).etag)
        assert len(set(etags)) == 5

    async def test_a_replace_wants_the_etag_that_it_names(self, documents: Documents) -> None:
        created = await documents.create("orders", STREAM, item(n=1))
        replaced = await documents.replace("orders", STREAM, item(n=2), created.etag)
        await refused(documents.replace("orders", STREAM, item(n=3), created.etag), PreconditionFailed)
        assert (await documents.read("orders", STREAM, "1")).etag == replaced.etag
        await documents.replace("orders", STREAM, item(n=4))

    async def test_what_was_read_can_be_changed_and_replaced(self, documents: Documents) -> None:
        await documents.create("orders", STREAM, item(n=1))
        read = await documents.read("orders", STREAM, "1")
        replaced = await documents.replace("orders", STREAM, read.item | {"n": 2}, read.etag)
        assert replaced.etag != read.etag
        assert replaced.item["n"] == 2

    async def test_a_delete_wants_the_etag_that_it_names(self, documents: Documents) -> None:
        created = await documents.create("orders", STREAM, item())
        changed = await documents.replace("orders", STREAM, item(n=1))
        await refused(documents.delete("orders", STREAM, "1", created.etag), PreconditionFailed)
        await documents.delete("orders", STREAM, "1", changed.etag)
        await refused(documents.read("orders", STREAM, "1"), DocumentNotFound)

    @pytest.mark.parametrize("id", ["", "a/b", "a\\b", "a#b", "a?b", "x" * 1024, "é" * 512, None, 7])
    async def test_an_id_that_cosmos_db_does_not_take_is_refused(self, documents: Documents, id: Any) -> None:
        await refused(documents.create("orders", STREAM, item() | {"id": id}), BadDocumentRequest)

    async def test_an_id_may_have_1023_bytes_and_most_characters(self, documents: Documents) -> None:
        for id in ("x" * 1023, "hold:ord-1 ü & %2F", "."):
            await documents.create("orders", STREAM, item(id))
            assert (await documents.read("orders", STREAM, id)).item["id"] == id

    async def test_an_item_must_carry_the_partition_key_of_the_request(self, documents: Documents) -> None:
        await refused(documents.create("orders", "ord-2", item()), BadDocumentRequest)
        await refused(documents.upsert("orders", STREAM, {"id": "1"}), BadDocumentRequest)

    async def test_an_item_may_have_two_mebibytes_and_no_more(self, documents: Documents) -> None:
        await refused(documents.create("orders", STREAM, item(text="x" * MAX_ITEM_BYTES)), DocumentTooLarge)
        await documents.create("orders", STREAM, item(text="x" * (MAX_ITEM_BYTES - 1024)))
        grow = [SetField("more", "x" * 2048)]
        await refused(documents.patch("orders", STREAM, "1", grow), DocumentTooLarge)

    # Patches

    async def test_a_patch_sets_increments_and_removes_fields(self, documents: Documents) -> None:
        await documents.create("orders", STREAM, item(n=5, gone=1, deep={"a": 1}))
        operations = [
            SetField("new", [1]),
            SetField("deep.a", "overwritten"),
            Increment("n", -7),
            Increment("deep.count", 3),
            RemoveField("gone"),
        ]
        patched = await documents.patch("orders", STREAM, "1", operations)
        expected = item(new=[1], n=-2, deep={"a": "overwritten", "count": 3})
        assert without_system_fields(patched.item) == expected
        assert without_system_fields((await documents.read("orders", STREAM, "1")).item) == expected

    @pytest.mark.parametrize(
        "operation",
        [
            RemoveField("missing"),
            SetField("missing.field", 1),
            SetField("text.field", 1),
            Increment("text", 1),
            RemoveField("deep.missing"),
        ],
    )
    async def test_a_patch_of_a_path_that_is_not_there_is_refused_and_changes_nothing(
        self, documents: Documents, operation: PatchOperation
    ) -> None:
        created = await documents.create("orders", STREAM, item(text="a", deep={}))
        request = documents.patch("orders", STREAM, "1", [SetField("n", 1), operation])
        await refused(request, BadDocumentRequest)
        assert (await documents.read("orders", STREAM, "1")).item == created.item

    @pytest.mark.parametrize("count", [0, MAX_PATCH_OPERATIONS + 1])
    async def test_a_patch_has_one_to_ten_operations(self, documents: Documents, count: int) -> None:
        await documents.create("orders", STREAM, item())
        operations = [SetField(f"n{n}", n) for n in range(count)]
        await refused(documents.patch("orders", STREAM, "1", operations), BadDocumentRequest)

    @pytest.mark.parametrize("path", ["id", "stream"])
    async def test_what_identifies_an_item_cannot_be_patched(self, documents: Documents, path: str) -> None:
        await documents.create("orders", STREAM, item())
        request = documents.patch("orders", STREAM, "1", [SetField(path, "other")])
        await refused(request, BadDocumentRequest)

    async def test_a_patch_wants_its_conditions_and_its_etag_to_hold(self, documents: Documents) -> None:
        created = await documents.create("orders", STREAM, item(available=3, state="open"))
        take = [Increment("available", -2)]
        enough = (Where("available", ">=", 2), Where("state", "=", "open"))
        patched = await documents.patch("orders", STREAM, "1", take, enough)
        assert patched.item["available"] == 1
        await refused(documents.patch("orders", STREAM, "1", take, enough), PreconditionFailed)
        await refused(documents.patch("orders", STREAM, "1", take, (), created.etag), PreconditionFailed)
        assert (await documents.read("orders", STREAM, "1")).item["available"] == 1

    @pytest.mark.parametrize(
        "condition",
        [
            Where("missing", "!=", 1),
            Where("missing", "=", None),
            Where("deep.missing", "<", 1),
            Where("text", "!=", 1),
            Where("text", ">", 0),
            Where("number", "=", "1"),
            Where("flag", "=", 1),
            Where("nothing", "!=", 0),
            Where("deep", "=", "{}"),
        ],
    )
    async def test_a_comparison_with_a_missing_field_or_another_type_is_never_true(
        self, documents: Documents, condition: Where
    ) -> None:
        await documents.create("orders", STREAM, item(text="1", number=1, flag=True, nothing=None, deep={}))
        request = documents.patch("orders", STREAM, "1", [SetField("n", 1)], [condition])
        await refused(request, PreconditionFailed)
        assert await all_items(documents, Query((condition,))) == []

    @pytest.mark.parametrize(
        "condition",
        [
            Where("text", "=", "b"),
            Where("text", ">", "a"),
            Where("text", "!=", "B"),
            Where("number", ">=", 1),
            Where("number", "<", 1.5),
            Where("flag", "=", True),
            Where("flag", "!=", False),
            Where("nothing", "=", None),
            Where("deep.deeper.n", "<=", 0),
        ],
    )
    async def test_a_comparison_within_one_type_holds(self, documents: Documents, condition: Where) -> None:
        fields: JsonObject = {"text": "b", "number": 1, "flag": True, "nothing": None}
        await documents.create("orders", STREAM, item(**fields, deep={"deeper": {"n": 0}}))
        assert len(await all_items(documents, Query((condition,)))) == 1
        await documents.patch("orders", STREAM, "1", [SetField("n", 1)], [condition])

    # Batches

    async def test_a_batch_does_all_its_operations_in_order(self, documents: Documents) -> None:
        old = await documents.create("orders", STREAM, item("old", n=1))
        await documents.create("orders", STREAM, item("gone"))
        results = await documents.batch(
            "orders",
            STREAM,
            [
                Create(item("new")),
                Replace(item("old", n=2), old.etag),
                Patch("new", (Increment("n", 1),)),
                Delete("gone"),
                Upsert(item("gone", again=True)),
            ],
        )
        assert [None if one is None else one.item["id"] for one in results] == [
            "new",
            "old",
            "new",
            None,
            "gone",
        ]
        found = await all_items(documents, Query(partition=STREAM))
        assert sorted((without_system_fields(one) for one in found), key=lambda one: str(one["id"])) == [
            item("gone", again=True),
            item("new", n=1),
            item("old", n=2),
        ]
        read = await documents.read("orders", STREAM, "new")
        assert results[2] is not None
        assert results[2].etag == read.etag

    @pytest.mark.parametrize(
        ("failing", "error"),
        [
            (Create(item("there")), DocumentConflict),
            (Replace(item("missing")), DocumentNotFound),
            (Delete("missing"), DocumentNotFound),
            (Replace(item("there"), '"other"'), PreconditionFailed),
            (Delete("there", '"other"'), PreconditionFailed),
            (Patch("there", (SetField("n", 1),), (Where("n", "=", 7),)), PreconditionFailed),
            (Patch("there", (RemoveField("missing"),)), BadDocumentRequest),
            (Create(item("a/b")), BadDocumentRequest),
            (Create(item("other", stream="ord-2")), BadDocumentRequest),
        ],
    )
    async def test_a_batch_of_which_one_operation_fails_does_nothing_and_names_it(
        self, documents: Documents, failing: Any, error: type[DocumentError]
    ) -> None:
        there = await documents.create("orders", STREAM, item("there", n=0))
        operations = [Create(item("new")), Upsert(item("newer")), failing, Delete("there")]
        failure = await refused(documents.batch("orders", STREAM, operations), error)
        assert failure.operation == 2
        assert await all_items(documents, Query(partition=STREAM)) == [there.item]

    async def test_an_error_outside_a_batch_names_no_operation(self, documents: Documents) -> None:
        assert (await refused(documents.read("orders", STREAM, "1"), DocumentNotFound)).operation is None

    @pytest.mark.parametrize("count", [0, MAX_BATCH_OPERATIONS + 1])
    async def test_a_batch_has_one_to_a_hundred_operations(self, documents: Documents, count: int) -> None:
        operations = [Create(item(str(n))) for n in range(count)]
        await refused(documents.batch("orders", STREAM, operations), BadDocumentRequest)

    async def test_a_batch_may_have_a_hundred_operations(self, documents: Documents) -> None:
        operations = [Create(item(str(n))) for n in range(MAX_BATCH_OPERATIONS)]
        assert len(await documents.batch("orders", STREAM, operations)) == MAX_BATCH_OPERATIONS

    async def test_a_batch_may_have_two_mebibytes_and_no_more(self, documents: Documents) -> None:
        half = "x" * (MAX_ITEM_BYTES // 2)
        operations = [Create(item("a", text=half)), Create(item("b", text=half))]
        await refused(documents.batch("orders", STREAM, operations), DocumentTooLarge)
        assert await all_items(documents, Query(partition=STREAM)) == []

    # Expiry

    async def test_an_item_expires_so_many_seconds_after_its_last_write(self, documents: Documents) -> None:
        await documents.create("orders", STREAM, item("short", ttl=2))
        await documents.create("orders", STREAM, item("for ever", ttl=-1))
        await documents.create("orders", STREAM, item("plain"))
        await self.let_pass(3)
        await refused(documents.read("orders", STREAM, "short"), DocumentNotFound)
        found = await all_items(documents, Query(partition=STREAM))
        assert sorted(str(one["id"]) for one in found) == ["for ever", "plain"]
        await documents.create("orders", STREAM, item("short"))

    async def test_a_partition_key_may_be_the_id(self, documents: Documents) -> None:
        await documents.create("sandbox", "charge:ord-1", {"id": "charge:ord-1", "amount": 5})
        assert (await documents.read("sandbox", "charge:ord-1", "charge:ord-1")).item["amount"] == 5
