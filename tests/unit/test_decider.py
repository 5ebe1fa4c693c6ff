"""Running deciders on event streams: a bank account as the smallest of them."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.chain import entry_hash
from core.decider import (
    DECISIONS,
    INBOX_TTL_S,
    BrokenStream,
    Decider,
    Loaded,
    StreamContention,
    TooManyEvents,
    execute,
    history,
    load,
    read_event,
    upcaster,
)
from core.documents import RetryWith
from core.resilience import retry_transient
from emulator.simulation import run_simulated
from tests.bank import (
    ACCOUNTS,
    STREAM,
    Account,
    Answer,
    Deposited,
    Overdrawn,
    Withdrawn,
    cause,
    evolve,
    no_note,
    open_bank,
    replies,
)
from tests.fakes import START, FakeClock, FakeDocuments


@pytest.fixture(autouse=True, scope="module")
def _bank() -> Iterator[None]:
    with open_bank():
        yield


@pytest.fixture
def documents() -> FakeDocuments:
    return FakeDocuments()


def stored(documents: FakeDocuments, id: str):
    return next(item for item in documents.items("orders", STREAM) if item["id"] == id)


async def test_a_stream_that_does_not_exist_has_the_initial_state_and_version_0(documents):
    assert await load(documents, ACCOUNTS, STREAM) == Loaded(Account(), 0, None)


async def test_an_append_to_a_new_stream_is_one_request_when_the_caller_bets_on_it(documents):
    outcome = await execute(documents, ACCOUNTS, STREAM, 5, cause(), START, loaded=Loaded(Account()))
    assert (outcome.state.balance, outcome.version, outcome.events) == (5, 1, (Deposited(5, "cash"),))
    assert documents.requests == ["batch orders"]


async def test_an_event_is_stored_with_what_caused_it(documents):
    await execute(documents, ACCOUNTS, STREAM, 5, cause(), START)
    event = stored(documents, "1")
    del event["_etag"], event["_ts"]
    assert event.pop("hash") == entry_hash("", event)
    assert event == {
        "id": "1",
        "stream": STREAM,
        "kind": "event",
        "version": 1,
        "type": "bank.deposited",
        "schema": 3,
        "time": START.isoformat(),
        "event_id": "acc-1:orders:1",
        "correlation_id": STREAM,
        "causation_id": "acc-1:bank.pay",
        "traceparent": cause().traceparent,
        "actor": "teller",
        "data": {"amount": 5, "note": "cash"},
    }
    recorded = (await history(documents, ACCOUNTS, STREAM))[0]
    assert recorded == replace(read_event(event), hash=recorded.hash)
    assert (recorded.data, recorded.time) == (Deposited(5, "cash"), START)


async def test_each_event_is_chained_to_the_one_before_and_the_snapshot_to_the_last(documents):
    """Whether the stream was loaded, or is known from the command before, or was rebuilt."""
    outcome = await execute(documents, ACCOUNTS, STREAM, 5, cause(), START)
    known = Loaded(outcome.state, outcome.version, hash=outcome.hash)
    await execute(documents, ACCOUNTS, STREAM, 5, cause(), START, loaded=known)
    await documents.delete("orders", STREAM, "snapshot")
    await execute(documents, ACCOUNTS, STREAM, 5, cause(), START)
    last = ""
    for version in ("1", "2", "3"):
        event = stored(documents, version)
        assert event["hash"] == entry_hash(last, event)
        last = event["hash"]
    assert stored(documents, "snapshot")["hash"] == last


async def test_the_snapshot_holds_the_state_after_the_last_event(documents):
    await execute(documents, ACCOUNTS, STREAM, 5, cause(), START)
    await execute(documents, ACCOUNTS, STREAM, -2, cause(), START)
    assert stored(documents, "snapshot")["state"] == {"balance": 3, "opened_at": "2027-01-15T08:00:00Z"}
    documents.requests.clear()
    loaded = await load(documents, ACCOUNTS, STREAM)
    assert (loaded.state, loaded.version) == (Account(3, START), 2)
    assert loaded.etag == stored(documents, "snapshot")["_etag"]
    assert documents.requests == ["read orders"]


async def test_a_missing_snapshot_is_rebuilt_from_the_events_over_many_pages(documents):
    loaded = None
    for _ in range(450):
        outcome = await execute(documents, ACCOUNTS, STREAM, 1, cause(), START, loaded=loaded)
        loaded = Loaded(outcome.state, outcome.version, hash=outcome.hash)
    await documents.delete("orders", STREAM, "snapshot")
    assert await load(documents, ACCOUNTS, STREAM) == loaded
    await execute(documents, ACCOUNTS, STREAM, 1, cause(), START)
    assert stored(documents, "snapshot")["version"] == 451


async def test_a_snapshot_of_another_schema_is_rebuilt_from_the_events(documents):
    await execute(documents, ACCOUNTS, STREAM, 5, cause(), START)
    await documents.upsert(
        "orders", STREAM, {**stored(documents, "snapshot"), "schema": 1, "state": {"pounds": 7}}
    )
    assert (await load(documents, ACCOUNTS, STREAM)).state.balance == 5


async def test_a_snapshot_that_does_not_fit_its_schema_is_an_error_and_not_a_guess(documents):
    await execute(documents, ACCOUNTS, STREAM, 5, cause(), START)
    await documents.upsert("orders", STREAM, {**stored(documents, "snapshot"), "state": {"balance": "much"}})
    with pytest.raises(BrokenStream, match="balance"):
        await load(documents, ACCOUNTS, STREAM)


async def test_an_old_event_is_lifted_version_by_version(documents):
    await execute(documents, ACCOUNTS, STREAM, 5, cause(), START)
    await documents.upsert("orders", STREAM, {**stored(documents, "1"), "schema": 1, "data": {"pounds": 7}})
    assert [event.data for event in await history(documents, ACCOUNTS, STREAM)] == [Deposited(700, "")]


@pytest.mark.parametrize(
    "damage",
    [{"type": "bank.stolen"}, {"schema": 9}, {"data": {"amount": 5}}, {"time": "yesterday"}, {"data": None}],
)
async def test_an_event_that_this_code_cannot_read_is_an_error(documents, damage):
    await execute(documents, ACCOUNTS, STREAM, 5, cause(), START)
    await documents.upsert("orders", STREAM, {**stored(documents, "1"), **damage})
    with pytest.raises(BrokenStream, match="event 1 of stream acc-1"):
        await history(documents, ACCOUNTS, STREAM)


async def test_a_stream_with_a_gap_is_an_error(documents):
    for amount in (1, 2, 3):
        await execute(documents, ACCOUNTS, STREAM, amount, cause(), START)
    await documents.delete("orders", STREAM, "2")
    with pytest.raises(BrokenStream, match="version 2 is missing"):
        await history(documents, ACCOUNTS, STREAM)


async def test_when_nothing_is_decided_nothing_is_written(documents):
    outcome = await execute(documents, ACCOUNTS, STREAM, 0, cause(), START)
    assert (outcome.version, outcome.events, outcome.duplicate) == (0, (), False)
    assert documents.items("orders") == []


async def test_a_rejected_command_changes_nothing(documents):
    with pytest.raises(Overdrawn):
        await execute(documents, ACCOUNTS, STREAM, -1, cause(), START, replies=replies())
    assert documents.items("orders") == []


async def test_the_reply_is_recorded_with_the_events_and_expires(documents):
    outcome = await execute(documents, ACCOUNTS, STREAM, 5, cause(), START, replies=replies())
    assert [reply.data for reply in outcome.replies] == [Answer(5)]
    inbox = stored(documents, "inbox:acc-1:bank.pay")
    assert (inbox["kind"], inbox["stream"], inbox["ttl"]) == ("inbox", STREAM, INBOX_TTL_S)


@pytest.mark.parametrize("bets", [True, False])
async def test_a_command_seen_before_gives_the_recorded_reply_and_changes_nothing(documents, bets):
    first = await execute(documents, ACCOUNTS, STREAM, 5, cause(), START, replies=replies())
    await execute(documents, ACCOUNTS, STREAM, 2, cause("other"), START)
    loaded = Loaded(Account()) if bets else None
    again = await execute(documents, ACCOUNTS, STREAM, 5, cause(), START, loaded=loaded, replies=replies())
    assert again.duplicate
    assert again.replies == first.replies
    assert (again.state.balance, again.version) == (7, 2)
    assert len(await history(documents, ACCOUNTS, STREAM)) == 2


async def test_a_command_seen_before_that_would_now_be_rejected_gives_the_recorded_reply(documents):
    await execute(documents, ACCOUNTS, STREAM, 5, cause("first"), START)
    await execute(documents, ACCOUNTS, STREAM, -5, cause(), START, replies=replies())
    again = await execute(documents, ACCOUNTS, STREAM, -5, cause(), START, replies=replies())
    assert again.duplicate
    assert [reply.data for reply in again.replies] == [Answer(0)]


async def test_an_inbox_record_that_expired_is_forgotten():
    clock = FakeClock()
    documents = FakeDocuments(clock)
    await execute(documents, ACCOUNTS, STREAM, 5, cause(), START, replies=replies())
    clock.advance(INBOX_TTL_S - 1)
    assert (await execute(documents, ACCOUNTS, STREAM, 5, cause(), START, replies=replies())).duplicate
    clock.advance(1)
    assert not (await execute(documents, ACCOUNTS, STREAM, 5, cause(), START, replies=replies())).duplicate


async def test_a_concurrent_append_makes_the_command_be_decided_on_the_new_state(documents):
    await execute(documents, ACCOUNTS, STREAM, 5, cause(), START)
    stale = await load(documents, ACCOUNTS, STREAM)
    await execute(documents, ACCOUNTS, STREAM, -4, cause(), START)
    with pytest.raises(Overdrawn):
        await execute(documents, ACCOUNTS, STREAM, -5, cause(), START, loaded=stale)
    outcome = await execute(documents, ACCOUNTS, STREAM, -1, cause(), START, loaded=stale)
    assert (outcome.state.balance, outcome.version) == (0, 3)


async def test_endless_contention_is_a_transient_error():
    documents = FakeDocuments()
    appending = False

    async def another_is_faster(request: str) -> None:
        nonlocal appending
        if request == "batch orders" and not appending:
            appending = True
            await execute(documents, ACCOUNTS, STREAM, 1, cause("other"), START)
            appending = False

    documents.before = another_is_faster
    with pytest.raises(StreamContention):
        await execute(documents, ACCOUNTS, STREAM, 1, cause(), START)
    assert len(documents.items("orders", STREAM)) == DECISIONS + 1


async def test_more_events_than_a_batch_takes_are_refused_before_anything_is_written(documents):
    many = Decider(
        container="orders",
        state=Account,
        initial=Account(),
        decide=lambda state, command, now: [Withdrawn(1)] * command,
        evolve=evolve,
    )
    assert (await execute(documents, many, STREAM, 99, cause(), START)).version == 99
    with pytest.raises(TooManyEvents, match="101 operations, a batch takes 100"):
        await execute(documents, many, STREAM, 100, cause(), START)
    assert len(await history(documents, many, STREAM)) == 99


amounts = st.integers(-3, 3).filter(bool)


@settings(max_examples=100, deadline=None)
@given(
    deliveries=st.lists(st.tuples(st.integers(0, 4), amounts), min_size=1, max_size=12),
    broken=st.sets(st.integers(0, 60)),
    lost_answers=st.sets(st.integers(0, 60)),
)
def test_concurrent_commands_with_faults_are_each_carried_out_once(deliveries, broken, lost_answers):
    """Deliveries of up to five commands at once, each command perhaps more than once; requests fail before
    their effect (`broken`) or after it (`lost_answers`).
    """

    async def scenario() -> None:
        documents = FakeDocuments()
        count = {"before": 0, "after": 0}

        def failing(when: str, at: set[int]):
            async def hook(request: str) -> None:
                count[when] += 1
                await asyncio.sleep(0)
                if count[when] in at:
                    raise RetryWith("for the moment")

            return hook

        documents.before, documents.after = failing("before", broken), failing("after", lost_answers)
        amount_of = dict(deliveries)

        async def deliver(number: int) -> str:
            id = f"acc-1:bank.pay-{number}"
            try:
                outcome = await retry_transient(
                    lambda: execute(
                        documents, ACCOUNTS, STREAM, amount_of[number], cause(id), START, replies=replies(id)
                    ),
                    budget_s=600,
                )
            except Overdrawn:
                return "rejected"
            assert [reply.causation_id for reply in outcome.replies] == [id]
            return str(outcome.replies[0].data)

        answers = await asyncio.gather(*(deliver(number) for number, _ in deliveries))
        documents.before = documents.after = failing("before", set())
        events = await history(documents, ACCOUNTS, STREAM)
        state = ACCOUNTS.initial
        for event in events:
            state = evolve(state, event.data)
            assert state.balance >= 0
        assert (await load(documents, ACCOUNTS, STREAM)).state == state
        done = [event.causation_id for event in events]
        assert len(done) == len(set(done)), "a command was carried out twice"
        for (number, _), answer in zip(deliveries, answers, strict=True):
            if answer != "rejected":
                assert f"acc-1:bank.pay-{number}" in done

    run_simulated(scenario())


def test_two_upcasters_of_one_version_are_a_mistake():
    with pytest.raises(TypeError, match="two upcasters"):
        upcaster("bank.deposited", 1)(no_note)


def test_an_inbox_record_outlives_any_redelivery_by_30_days():
    assert timedelta(seconds=INBOX_TTL_S) >= timedelta(days=30 + 60)
