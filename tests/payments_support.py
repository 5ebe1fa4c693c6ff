"""Payments with a strict gateway, documents and a bus whose every call a test can hold or kill."""

from collections.abc import Sequence

import orjson

from core.contracts import contract_name
from core.decider import fold, history, load
from core.envelope import Envelope, command_id, from_json, pending_id, wrap
from services.payments.decider import PAYMENTS
from services.payments.gateway import Notice, Pending
from services.payments.handlers import handle_command
from services.payments.messages import Charge, Charged, Declined, PaymentPending, Refund, RefundPart
from services.payments.webhooks import check_charge
from tests.fakes import START, FakeBus, FakeDocuments, FakeLoopClock
from tests.interleaving import Gates
from tests.strict_gateway import StrictGateway

ORDER = "ord-1"
AMOUNT = 4200
PARTS = {"part-a": 1200, "part-b": 2000, "part-c": 1500}
"""Two of them fit into the amount, never three."""

TIMEOUT_S = 10.0


def command(name: str) -> Envelope:
    data: Charge | Refund | RefundPart
    part = name if name in PARTS else ""
    if part:
        data = RefundPart(ORDER, part, PARTS[part], "GBP")
    else:
        data = Charge(ORDER, "cust-1", AMOUNT, "GBP", "tok_ok") if name == "charge" else Refund(ORDER)
    type = contract_name(data.__class__)
    return wrap(
        data,
        id=command_id(ORDER, type, part),
        source="orders",
        subject=ORDER,
        time=START,
        correlation_id=ORDER,
        causation_id=f"{ORDER}:orders:1",
    )


class World:
    """`webhook` ends a charge that is pending, as `ends_as`, and tells of it."""

    def __init__(self, declines: bool = False, lands_late: bool = False, pending: bool = False) -> None:
        self.gates = Gates(lambda delivery, n: "go")
        self.clock = FakeLoopClock()
        self.documents = FakeDocuments(self.clock, before=self.gates, after=self.gates)
        self.bus = FakeBus(self.clock, before=self.gates, after=self.gates)
        self.gateway = StrictGateway(self.gates, declines, lands_late, pending)
        self.ends_as: Charged | Declined = Charged(ORDER, "pay-1", AMOUNT, "GBP")

    async def handle(self, name: str) -> None:
        told = command(name) if name != "webhook" else self.webhook()
        if told is not None:
            await handle_command(self.documents, self.bus, self.gateway, self.clock, TIMEOUT_S, told)

    def webhook(self) -> Envelope | None:
        if not self.gateway.charges:
            return None
        if isinstance(self.gateway.charges[0], Pending):
            self.gateway.end(self.ends_as)
        news = "charged" if isinstance(self.gateway.charges[0], Charged) else "declined"
        return check_charge(Notice(f"evt-{news}", ORDER, "pay-1", news), "strict", START)

    def replies(self, name: str) -> set[tuple[str, bytes]]:
        """The different answers that were sent to a command."""
        told = [orjson.loads(message.body) for message in self.bus.sent["order-replies"]]
        id = f"{command(name).id}:reply"
        return {(body["type"], orjson.dumps(body["data"])) for body in told if body["id"] == id}

    def pending(self) -> list[PaymentPending]:
        """What was said to the charge before its answer."""
        told = [from_json(message.body) for message in self.bus.sent["order-replies"]]
        return [each.data for each in told if each.id == pending_id(command("charge").id)]

    async def check(self, delivered: Sequence[str]) -> None:
        await self.gateway.outside.landed()
        charged = [one for one in self.gateway.charges if isinstance(one, Charged)]
        # A webhook may end a charge, and so let its refund begin, before the call itself is answered.
        overlapped = self.gateway.outside.overlapped and "webhook" not in delivered
        assert not overlapped, "two calls were in flight at once"
        assert len(self.gateway.charges) <= 1, "charged twice"
        parts = [part for part, _ in self.gateway.refunds]
        assert len(parts) == len(set(parts)), "refunded twice"
        given_back = [money.amount for _, money in self.gateway.refunds]
        net = sum(one.amount for one in charged) - sum(given_back)
        assert net >= 0, "more refunded than charged"
        open_ = any(isinstance(one, Pending) for one in self.gateway.charges)
        for name in set(delivered) - {"webhook"} - ({"charge"} if open_ else set()):
            assert len(self.replies(name)) == 1, f"{name} was answered {self.replies(name)}"
        state = (await load(self.documents, PAYMENTS, ORDER)).state
        events = await history(self.documents, PAYMENTS, ORDER)
        assert fold(PAYMENTS, PAYMENTS.initial, [event.data for event in events]) == state
        assert state.charged - state.refunded == net
        assert state.intent is None
        answers = {type for name in delivered if name != "webhook" for type, _ in self.replies(name)}
        if "refund" in delivered:
            assert net == 0
            refunded = orjson.loads(next(iter(self.replies("refund")))[1])["amount"]
            made = sum(money.amount for part, money in self.gateway.refunds if not part)
            assert refunded == made or (refunded == 0 and not self.gateway.cancellable)
            assert sum(given_back) == AMOUNT or "payments.charged" not in answers
        elif "charge" in delivered and not open_:
            assert ("payments.charged" in answers) == (net + sum(given_back) == AMOUNT)
        for name in PARTS.keys() & set(delivered):
            done = any(part == name for part, _ in self.gateway.refunds)
            assert [type for type, _ in self.replies(name)] == [
                "payments.part_refunded" if done else "payments.part_refund_refused"
            ]
