"""Whatever comes in whatever order, the saga ends, and nothing stays done of an order that was cancelled.

The services are a small model with their contracts: an inbox, the undo before the do, one outcome for ever.
"""

import asyncio
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from core.decider import Rejection
from orchestrators.steps import BY_NAME
from services.orders.policy import OPERATOR_EVENT
from services.orders.state import TERMINAL
from tests.saga.driver import DONE, ORDER_ID, REFUSED, STEPS, UNDONE, World

DO = {BY_NAME[step].do.command_type: step for step in STEPS}
UNDO = {BY_NAME[step].undo.command_type: step for step in STEPS}
EXTEND_HOLD = "inventory.extend_hold"
PENDING = object()
PATIENCE = 60

MOVES = (
    *("work", "work", "work", "deliver", "deliver", "reply", "reply", "again", "late"),
    *("fire", "fail", "in_vain", "cancel", "unheard_cancel", "operator", "restart", "end"),
)
moves = st.lists(st.sampled_from(MOVES), max_size=40)


@dataclass
class Services:
    """refuses: the steps whose do is refused. pending: whether a charge has to wait for its end; held: and
    one does."""

    refuses: frozenset[str]
    pending: bool = False
    held: bool = False
    live: set[str] = field(default_factory=set)
    outcomes: dict[str, object] = field(default_factory=dict)
    undone: set[str] = field(default_factory=set)

    def handle(self, command: str) -> tuple[str, object]:
        """The step, and what it answers; PENDING is no answer yet."""
        if command in UNDO:
            step = UNDO[command]
            self.undone.add(step)
            self.live.discard(step)
            return step, UNDONE[step]
        if command == EXTEND_HOLD:
            return "inventory", None
        step = DO[command]
        if step == "payment" and self.pending and not {step} & (self.undone | self.outcomes.keys()):
            self.held = True
            return step, PENDING
        if step not in self.outcomes:
            refused = step in self.refuses or step in self.undone
            self.outcomes[step] = REFUSED[step] if refused else DONE[step]
            if not refused:
                self.live.add(step)
        return step, self.outcomes[step]


class Game:
    def __init__(self, world: World, services: Services) -> None:
        self.world = world
        self.services = services
        self.delivered = 0
        self.replies: list[tuple[str, object]] = []

    def event(self, reply: tuple[str, object]) -> str:
        return self.world.said_pending() if reply[1] is PENDING else self.world.reply(*reply)

    async def move(self, move: str) -> None:  # noqa: PLR0912  (one a move)
        run = self.world.run
        if run.done and move not in ("deliver", "restart", "end"):
            return
        match move:
            case "work" | "in_vain" if run.pending:
                await self.world.work(in_vain=move == "in_vain")
            case "fail" if run.pending:
                run.fail(run.pending[0])
            case "deliver" if self.delivered < len(self.world.sent()):
                command = self.world.sent()[self.delivered].partition("/")[0]
                self.delivered += 1
                step, reply = self.services.handle(command)
                if reply is not None:
                    self.replies.append((step, reply))
            case "reply" if self.replies:
                run.episode(self.event(self.replies[-1]))
            case "again" if self.replies:
                event = self.event(self.replies[-1])
                run.episode(event, event)
            case "late" if self.replies:
                run.episode(self.event(self.replies[0]))
            case "end" if self.services.held and self.services.pending:
                self.services.pending = False
                self.replies.append(self.services.handle("payments.charge"))
            case "fire" if run.open_timers:
                run.fire()
            case "cancel" | "unheard_cancel":
                try:
                    await self.world.cancel()
                except Rejection:
                    return
                if move == "cancel":
                    self.world.wake()
            case "operator":
                run.episode(run.raised(OPERATOR_EVENT, {}))
            case "restart":
                self.world.start()
        if self.world.run.continued is not None:
            self.world.run = self.world.run.next_run()

    async def play_fair(self) -> None:
        """From now on all is well."""
        for _ in range(PATIENCE):
            before = len(self.world.sent())
            await self.move("work")
            while self.delivered < len(self.world.sent()):
                await self.move("deliver")
            if self.world.run.done:
                return
            if not self.world.run.pending:
                await self.move("reply" if len(self.world.sent()) > before else "fire")
        raise AssertionError("the saga does not end")


async def play(chosen: list[str], refuses: frozenset[str], *, pending: bool) -> None:
    services = Services(refuses, pending)
    game = Game(await World().placed(), services)
    for move in chosen:
        await game.move(move)
    await game.play_fair()
    status = game.world.snapshot()["status"]
    assert status in TERMINAL
    assert game.world.run.output == {"status": status}
    assert services.live == (set(STEPS) if status == "completed" else set())
    stream = game.world.stream()
    assert len([event for event in stream if event in TERMINAL]) == 1
    assert len(stream) == len(set(stream) - {"needs_attention"}) + stream.count("needs_attention")


@given(chosen=moves, refuses=st.frozensets(st.sampled_from(STEPS), max_size=1), pending=st.booleans())
@settings(max_examples=200, deadline=None)
def test_the_saga_ends_and_leaves_all_or_nothing(
    chosen: list[str], refuses: frozenset[str], *, pending: bool
) -> None:
    asyncio.run(play(chosen, refuses, pending=pending))


def test_the_model_answers_as_the_services_do() -> None:
    services = Services(frozenset())
    assert services.handle("payments.refund") == ("payment", UNDONE["payment"])
    assert services.handle("payments.charge") == ("payment", REFUSED["payment"])
    assert services.live == set()
    assert ORDER_ID in services.handle("inventory.reserve")[1].order_id
