"""The Cosmos endpoint judged by another SDK, Microsoft's for JavaScript. Its script is peers/cosmos.mjs."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from emulator.documents.partitions import FEED_RANGES, bounds
from tests.wire.cosmos_endpoint import DATABASE, KEY, endpoint_at
from tests.wire.peer_scripts import Scenarios, run

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def judged(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scenarios]:
    async with endpoint_at(tmp_path_factory.mktemp("judged") / "store") as endpoint:
        yield await run("cosmos.mjs", endpoint.url, KEY)


def status(error: Any) -> tuple[int, int | None]:
    """With the substatus, which JSON leaves out where there is none."""
    return error["code"], error.get("substatus")


async def test_databases_and_containers_are_created_once_and_read(judged: Scenarios) -> None:
    seen = judged["resources"]
    assert seen["statusCode"] == 201
    assert status(seen["again"]) == status(seen["sameContainer"]) == (409, None)
    assert seen["read"] == "made"
    assert set(seen["databases"]) == {"judged", "made", DATABASE}
    assert seen["container"] == seen["readContainer"] == {"id": "things", "paths": ["/kind"], "ttl": -1}
    assert seen["containers"] == ["things"]
    assert seen["ranges"] == [list(bounds(number)) for number in range(FEED_RANGES)]


async def test_a_missing_container_is_told_from_a_missing_item(judged: Scenarios) -> None:
    seen = judged["resources"]
    assert status(seen["noDatabase"])[0] == 404
    assert status(seen["noContainer"]) == (404, 1003)
    assert judged["items"]["missing"] == {"status": 404, "resource": None}
    assert status(judged["items"]["deleteMissing"]) == (404, None)


async def test_items_are_created_once_in_a_partition_and_read_as_they_were_written(judged: Scenarios) -> None:
    seen = judged["items"]
    assert (seen["created"], seen["sameElsewhere"]) == (201, 201)
    assert status(seen["same"]) == (409, None)
    assert seen["read"] == {"status": 200, "text": "tëxt", "deep": {"n": [1, 2.5, None]}, "etag": True}
    assert seen["system"] == ["_attachments", "_etag", "_rid", "_self", "_ts"]
    assert seen["charge"] == 1
    assert seen["odd"] == [201, 200, "ä b+c%25:d"]


async def test_etags_guard_replacing_deleting_and_reading_again(judged: Scenarios) -> None:
    seen = judged["items"]
    assert seen["unchanged"] == {"status": 304, "resource": None}
    assert status(seen["staleReplace"]) == status(seen["staleDelete"]) == (412, None)
    assert seen["freshReplace"] == 3
    assert seen["deleted"] == 204
    assert status(seen["replaceMissing"]) == (404, None)


async def test_an_upsert_says_whether_it_created_and_takes_no_etag(judged: Scenarios) -> None:
    seen = judged["items"]
    assert seen["upserted"] == {"status": 200, "n": 5}
    assert seen["inserted"] == 201
    assert status(seen["staleUpsert"]) == (400, None)
    assert "if-match is not served" in seen["staleUpsert"]["message"]


async def test_a_patch_is_done_when_its_condition_and_etag_hold(judged: Scenarios) -> None:
    seen = judged["patching"]
    after = {"n": 5, "name": "x", "old": None, "list": [1, 3]}
    assert seen["patched"] == after
    assert seen["conditional"] == seen["last"] == after | {"name": "y"}
    assert status(seen["refused"]) == status(seen["etag"]) == (412, None)
    assert status(seen["badPath"]) == (400, None)
    assert status(seen["missing"]) == (404, None)


async def test_a_batch_answers_for_each_operation(judged: Scenarios) -> None:
    assert judged["batches"]["done"] == {
        "code": 200,
        "statuses": [201, 201, 200, 200, 204],
        "bodies": [None, None, 2, 7, None],
    }


async def test_a_failing_batch_names_its_operation_and_writes_nothing(judged: Scenarios) -> None:
    seen = judged["batches"]
    assert seen["refused"] == {"code": 207, "statuses": [424, 409, 424]}
    assert seen["stale"] == {"code": 207, "statuses": [424, 412]}
    assert seen["left"] == {"made": 7, "there": 2}


async def test_bulk_requests_are_refused_and_write_nothing(judged: Scenarios) -> None:
    seen = judged["bulk"]
    (answer,) = seen["answers"]
    assert answer["code"] == 400
    assert "Only atomic batches are served" in answer["message"]
    assert seen["left"] == []


async def test_a_query_in_one_partition_goes_on_at_its_token(judged: Scenarios) -> None:
    assert judged["queries"]["pages"] == [[0, 5], [10, 15]]


async def test_queries_across_partitions_filter_order_and_page(judged: Scenarios) -> None:
    seen = judged["queries"]
    assert seen["filtered"] == list(range(24, 9, -2))
    assert seen["across"] == list(range(24, -1, -1))
    assert seen["everything"] == list(range(25))
    assert seen["unordered"] == list(range(0, 25, 2))
    assert seen["readAll"] == 25
    assert seen["top"] == [24, 23, 22]
    assert seen["limited"] == [2, 3, 4, 5]
    assert seen["none"] == 0


async def test_what_is_no_query_or_not_served_is_refused(judged: Scenarios) -> None:
    seen = judged["queries"]
    assert status(seen["notServed"]) == status(seen["noSql"]) == (400, None)
    assert "only `SELECT *` is served" in seen["notServed"]["message"]


async def test_the_change_feed_shows_the_latest_version_of_each_item(judged: Scenarios) -> None:
    seen = judged["changeFeed"]
    expected = {str(n): int(n == 3) for n in range(12) if n != 4}
    assert seen["whole"] == expected
    assert seen["number"] == len(expected)


async def test_the_change_feed_resumes_where_it_was(judged: Scenarios) -> None:
    seen = judged["changeFeed"]
    assert (seen["nothing"], seen["fromNow"]) == (0, 0)
    assert seen["resumed"] == seen["afterNow"] == {"5": 2, "new": 0}


async def test_the_change_feed_can_be_read_by_partition_and_by_range(judged: Scenarios) -> None:
    seen = judged["changeFeed"]
    assert seen["partition"] == ["11", "new"]
    assert len(seen["byRange"]) == FEED_RANGES
    found = sorted(id for ids in seen["byRange"] for id in ids)
    assert found == sorted([*(str(n) for n in range(12) if n != 4), "new"])


async def test_a_wrong_key_is_refused(judged: Scenarios) -> None:
    seen = judged["refused"]
    assert status(seen["key"]) == status(seen["keyItem"]) == (401, None)
    assert "The wrong key is being used" in seen["key"]["message"]
    assert seen["left"] == 0


async def test_an_item_of_another_partition_and_what_is_not_served_are_refused(judged: Scenarios) -> None:
    seen = judged["refused"]
    assert status(seen["wrongPartition"]) == (400, 1001)
    assert status(seen["procedures"]) == (400, None)
    assert "sprocs" in seen["procedures"]["message"]
