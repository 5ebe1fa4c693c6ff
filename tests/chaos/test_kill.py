"""Real processes under load, killed with kill -9.

The scenarios run side by side, since they mostly wait: what a dead instance had locked is free after 30 s,
the change feed that it read after 60 s, as in Azure. In two of them the app's messages and documents go
through the Azure SDKs: alone, they die with the instance; of two, those that the survivor's SDKs had with the
other instance break, and it goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from tests.chaos.paths import MIX, SagaPath
from tools.api import Api, ApiError, connect
from tools.emulator_process import Emulator, running, with_adapters
from tools.evidence import open_store, order_facts, read_evidence
from tools.scratch import settle

pytestmark = pytest.mark.slow

SECONDS = 20.0
KILLS = 3
RESTARTED_S = 60.0
RATES = {"alone": 20.0, "of two": 10.0, "alone on the wire": 3.0, "of two on the wire": 2.0}
"""Orders a second, by who is killed."""
KILLED = tuple(RATES)
ENDED_S = 120.0
"""By then all must have ended."""
TAKE_OVER_S = 30.0
"""For leases of feed ranges in which nothing waits to be read, after that."""

SETTINGS = {
    "ORDERFLOW_LOG_LEVEL": "WARNING",
    # Three attempts wait 70 s: a kill makes nobody give a step up.
    "ORDERFLOW_STEP_TIMEOUT_SECONDS": "10",
    "ORDERFLOW_STEP_ATTEMPTS": "3",
    "ORDERFLOW_IDLE_SECONDS": "20",
}

type End = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """due: the status and reason with which each accepted order must end; ends: those it has."""

    due: dict[str, End]
    ends: dict[str, End]
    violations: list[str]
    dead_lettered: int
    parked: int
    feed_readers: set[str]
    log: str


async def buy(api: Api, key: str, way: SagaPath, due: dict[str, End]) -> None:
    """The client repeats a request without an answer, with the same key."""
    order = await api.submit(way.order, key)
    due[order.id] = way.end()
    if way.cancel_at is not None:
        try:
            await api.cancel(order.id)
        except ApiError as refusal:
            due[order.id] = way.end(refusal.status)


async def load(api: Api, rate: float, seed: int, due: dict[str, End]) -> None:
    chance = Random(seed)
    async with asyncio.TaskGroup() as customers:
        for number in range(round(rate * SECONDS)):
            customers.create_task(buy(api, f"key-{number}", chance.choice(MIX), due))
            await asyncio.sleep(1 / rate)


async def kill_thrice(emulator: Emulator) -> None:
    """At a moment of each third of the load."""
    chance = Random(11)
    third = SECONDS / KILLS
    for kills in range(KILLS):
        before = chance.uniform(0.4, 0.9) * third
        await asyncio.sleep(before)
        await running_again(emulator, kills)
        await emulator.kill(0)
        await asyncio.sleep(third - before)


async def running_again(emulator: Emulator, times: int) -> None:
    """Ready, and not only under way: where all cores are busy a start takes seconds. Raises TimeoutError."""
    async with asyncio.timeout(RESTARTED_S):
        while emulator.log.read_text().count("instance 0 runs again") < times:  # noqa: ASYNC110  (as below)
            await asyncio.sleep(0.1)


async def kill_one_of_two(emulator: Emulator) -> None:
    """In the middle of the load, once it reads its share of the change feed."""
    await asyncio.sleep(SECONDS / 2)
    while "instance-1" not in feed_readers(emulator.state):  # noqa: ASYNC110  (nothing tells of it)
        await asyncio.sleep(0.1)
    await emulator.kill(1)


def feed_readers(state: Path) -> set[str]:
    """The owners of the leases."""
    with closing(open_store(state)) as store:
        rows = store.execute(
            "SELECT DISTINCT json_extract(body, '$.owner') FROM documents WHERE container = 'leases'"
        ).fetchall()
    return {owner for (owner,) in rows}


async def scenario(
    state: Path,
    kills: Callable[[Emulator], Awaitable[None]],
    *,
    rate: float,
    instances: int,
    options: tuple[str, ...] = (),
    adapters: str = "embedded",
) -> Outcome:
    due: dict[str, End] = {}
    settings, options = with_adapters(adapters, SETTINGS, options)
    async with running(state, instances=instances, settings=settings, options=options) as emulator:
        async with connect(emulator.url) as api:
            await api.load_stock({"GLASS": 999, "VASE": 999})
            await asyncio.gather(load(api, rate, instances, due), kills(emulator))
        violations = await settle(state, due, ENDED_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(TAKE_OVER_S):
                while (readers := feed_readers(state)) != {"instance-0"}:  # noqa: ASYNC110  (as above)
                    await asyncio.sleep(0.1)
    found = read_evidence(state, accepted=due)
    orders = [order_facts(stream, events) for stream, events in found.streams("orders").items()]
    return Outcome(
        due=due,
        ends={order.id: (order.status, order.reason) for order in orders},
        violations=[str(violation) for violation in violations],
        dead_lettered=sum(account.dead_lettered for account in found.messages.values()),
        parked=found.messages["parked"].accepted,
        feed_readers=readers,
        log=emulator.log.read_text(),
    )


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    async def killed(name: str) -> Outcome:
        of_two = name.startswith("of two")
        return await scenario(
            tmp_path_factory.mktemp("killed"),
            kill_one_of_two if of_two else kill_thrice,
            rate=RATES[name],
            instances=2 if of_two else 1,
            options=("--no-restart",) if of_two else (),
            adapters="azure" if name.endswith("wire") else "embedded",
        )

    async def all_of_them() -> dict[str, Outcome]:
        return dict(zip(KILLED, await asyncio.gather(*map(killed, KILLED)), strict=True))

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("killed", ["alone", "alone on the wire"])
def test_an_instance_was_killed_three_times_and_restarted(killed: str, outcomes: dict[str, Outcome]) -> None:
    log = outcomes[killed].log
    assert log.count("instance 0 ended with code -9") == KILLS
    assert log.count("instance 0 runs again") == KILLS


@pytest.mark.parametrize("killed", ["of two", "of two on the wire"])
def test_of_two_instances_one_was_killed_and_stayed_dead(killed: str, outcomes: dict[str, Outcome]) -> None:
    log = outcomes[killed].log
    assert log.count("instance 1 ended with code -9") == 1
    assert "runs again" not in log


@pytest.mark.parametrize("killed", ["of two", "of two on the wire"])
def test_the_other_instance_takes_over_the_change_feed(killed: str, outcomes: dict[str, Outcome]) -> None:
    assert outcomes[killed].feed_readers == {"instance-0"}


@pytest.mark.parametrize("killed", KILLED)
def test_every_order_that_was_accepted_ends_as_it_must(killed: str, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[killed]
    assert len(outcome.due) == round(RATES[killed] * SECONDS)
    assert outcome.ends == outcome.due


@pytest.mark.parametrize("killed", KILLED)
def test_every_invariant_holds_in_the_end(killed: str, outcomes: dict[str, Outcome]) -> None:
    assert outcomes[killed].violations == []


@pytest.mark.parametrize("killed", KILLED)
def test_no_message_is_given_up(killed: str, outcomes: dict[str, Outcome]) -> None:
    assert (outcomes[killed].parked, outcomes[killed].dead_lettered) == (0, 0)
