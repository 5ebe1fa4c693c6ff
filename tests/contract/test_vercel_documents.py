"""The Azure documents adapter on @vercel/cosmosdb-server, whose reading of the protocol is not ours.

It is wrong in places: what is left out is named here with its reason.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from azure.cosmos.aio import CosmosClient

from adapters.azure.cosmos_containers import read_topology, set_up
from adapters.azure.documents import AzureDocuments
from core.documents import Documents
from tests.charges import Charges
from tests.contract.documents_suite import DocumentsSuite
from tests.wire.node_peers import serving

TOPOLOGY = read_topology(Path(__file__).parents[2] / "topology" / "cosmos.json")
CONTAINERS = tuple(one for one in TOPOLOGY.containers if one.name in {"orders", "payments", "sandbox"})

_NOT_FOUND = "it answers 500 when a missing item is read or deleted"
_PARTITION = "it wants the partition key in the text of a query"
_BATCH = "of a batch it knows `create` alone, and does it in part"
_PREDICATE = "it compares a predicate in lower case"
LEFT_OUT = {
    "test_a_missing_item_is_not_found": _NOT_FOUND,
    "test_a_delete_wants_the_etag_that_it_names": _NOT_FOUND,
    "test_an_error_outside_a_batch_names_no_operation": _NOT_FOUND,
    "test_an_id_may_have_1023_bytes_and_most_characters": _PARTITION,
    "test_a_query_stays_in_its_partition_or_goes_across": _PARTITION,
    "test_numbers_are_ordered_as_numbers": _PARTITION,
    "test_a_continuation_of_another_query_is_refused": _PARTITION,
    "test_a_batch_does_all_its_operations_in_order": _BATCH,
    "test_a_batch_of_which_one_operation_fails_does_nothing_and_names_it": _BATCH,
    "test_a_batch_may_have_two_mebibytes_and_no_more": "it has no limit of size",
    "test_an_item_may_have_two_mebibytes_and_no_more": "it has no limit of size",
    "test_a_patch_of_a_path_that_is_not_there_is_refused_and_changes_nothing[operation1]": (
        "it creates the parents of a patched path"
    ),
    "test_a_comparison_with_a_missing_field_or_another_type_is_never_true[condition3]": (
        "in a predicate it compares values of different types"
    ),
    "test_a_comparison_with_a_missing_field_or_another_type_is_never_true[condition7]": (
        "in a predicate it compares values of different types"
    ),
    "test_a_comparison_within_one_type_holds[condition2]": _PREDICATE,
    "test_an_item_expires_so_many_seconds_after_its_last_write": "its items never expire",
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = "@vercel/cosmosdb-server/lib/cli.js"
    where = ("--no-ssl", "--host", "127.0.0.1", "--port", "0")
    with serving(r"at (\S+)\n", server, *where, folder=tmp_path_factory.mktemp("vercel")) as address:
        yield f"http://{address}/"


class TestVercelDocuments(DocumentsSuite):
    numbers = count()

    @pytest.fixture(autouse=True)
    def left_out(self, request: pytest.FixtureRequest) -> None:
        name = request.node.name
        reason = LEFT_OUT.get(name, LEFT_OUT.get(name.partition("[")[0]))
        if reason is not None:
            pytest.skip(f"@vercel/cosmosdb-server: {reason}")

    @pytest.fixture
    async def documents(self, address: str) -> AsyncIterator[Documents]:
        """Each test has a database of its own. The server announces itself at https, so it is not asked."""
        topology = replace(TOPOLOGY, database=f"orderflow-{next(self.numbers)}", containers=CONTAINERS)
        async with CosmosClient(address, "a2V5", enable_endpoint_discovery=False) as client:
            async for _ in set_up(client, topology):
                pass
            yield AzureDocuments(client, topology.database, Charges())

    async def let_pass(self, seconds: float) -> None:
        raise NotImplementedError


def test_nothing_is_left_out_that_the_suite_has_not() -> None:
    assert all(hasattr(DocumentsSuite, name.partition("[")[0]) for name in LEFT_OUT)
