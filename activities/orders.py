"""The activities of the order saga."""

import logging
from datetime import datetime
from typing import Any

import azure.durable_functions as df

from activities import asking
from core.contracts import contract_name
from core.envelope import command_id
from core.resilience import retry_transient
from core.telemetry import child_traceparent
from services.inventory.messages import Release, Reserve
from services.orders import saga
from services.orders.policy import SAGA, Policy, start_input
from services.payments.messages import Charge, Refund
from services.shipping.messages import CancelShipment, CreateShipment

logger = logging.getLogger("orderflow.activities.orders")


def blueprint(ports: saga.Ports, policy: Policy) -> df.Blueprint:
    """`policy` is for the sagas of orders that are placed instead of others."""
    bp = df.Blueprint()

    def ask(activity: asking.Activity[saga.Work], command: type) -> None:
        """Register the activity that sends `command`."""
        type_ = contract_name(command)
        asking.register(bp, ports, activity, _work, _instance, lambda work: command_id(work.order_id, type_))

    ask(saga.request_inventory, Reserve)
    ask(saga.release_inventory, Release)
    ask(saga.request_payment, Charge)
    ask(saga.await_payment, Charge)
    ask(saga.refund_payment, Refund)
    ask(saga.request_shipment, CreateShipment)
    ask(saga.cancel_shipment, CancelShipment)

    @bp.activity_trigger(input_name="work")
    async def complete_order(work: dict) -> str:  # type: ignore[type-arg]  # asking.py says why
        return await retry_transient(lambda: saga.complete_order(ports, _work(work)))

    @bp.activity_trigger(input_name="work")
    @bp.durable_client_input(client_name="client")
    async def cancel_order(work: dict, client: df.DurableOrchestrationClient) -> list:  # type: ignore[type-arg]  # asking.py says why
        given = _work(work)
        cancelled = await retry_transient(lambda: saga.cancel_order(ports, given))
        if cancelled.replaced_by:
            await _start(client, policy, cancelled.replaced_by, given.traceparent)
        return list(cancelled.left)

    @bp.activity_trigger(input_name="work")
    async def report_attention(work: dict) -> None:  # type: ignore[type-arg]  # asking.py says why
        await retry_transient(lambda: saga.report_attention(ports, _work(work), str(work["step"])))

    return bp


async def _start(
    client: df.DurableOrchestrationClient, policy: Policy, order_id: str, traceparent: str
) -> None:
    """The order is placed already: a saga that cannot be started now is left to `restart_idle_orders`."""
    given = start_input(policy, child_traceparent(traceparent, order_id))
    try:
        await client.start_new(SAGA, order_id, given)
    except Exception:  # the client raises nothing narrower, also when it runs already
        logger.warning("saga of a replacement not started, left to the timer", exc_info=True)


def _instance(work: saga.Work) -> str:
    return work.order_id


def _work(work: Any) -> saga.Work:  # noqa: ANN401  (written by the orchestrator next door)
    reply = work["reply"]
    return saga.Work(
        order_id=work["order_id"],
        attempt=work["attempt"],
        cause=work["cause"],
        traceparent=work["traceparent"],
        reply=None if reply is None else saga.Answer(reply["type"], reply["data"]),
        until=datetime.fromisoformat(work["until"]) if "until" in work else None,
        reason=work.get("reason", ""),
        undo=tuple(work.get("undo", ())),
    )
