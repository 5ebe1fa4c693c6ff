"""The activities of the return saga. As those of the order saga (orders.py), for a part of an order."""

from typing import Any

import azure.durable_functions as df

from activities import asking
from core.contracts import contract_name
from core.envelope import command_id
from core.resilience import retry_transient
from services.inventory.messages import Restock
from services.orders import return_saga as saga
from services.orders.policy import return_event
from services.orders.saga import Answer, Ports
from services.payments.messages import RefundPart
from services.shipping.messages import CancelReturn, CreateReturn


def blueprint(ports: Ports) -> df.Blueprint:
    bp = df.Blueprint()

    def ask(
        activity: asking.Activity[saga.ReturnWork], *, command: type | None = None, stage: str = ""
    ) -> None:
        """Register the activity that sends `command`, or leaves the saga to wait for people at a stage."""

        def event_name(work: saga.ReturnWork) -> str:
            if command is None:
                return return_event(work.return_id, stage)
            return command_id(work.order_id, contract_name(command), work.return_id)

        asking.register(bp, ports, activity, _work, _instance, event_name)

    ask(saga.await_approval, stage="approval")
    ask(saga.request_label, command=CreateReturn)
    ask(saga.cancel_label, command=CancelReturn)
    ask(saga.await_parcel, stage="parcel")
    ask(saga.await_inspection, stage="inspection")
    ask(saga.request_restock, command=Restock)
    ask(saga.request_refund, command=RefundPart)

    @bp.activity_trigger(input_name="work")
    async def complete_return(work: dict) -> str:  # type: ignore[type-arg]  # asking.py says why
        return await retry_transient(lambda: saga.complete_return(ports, _work(work)))

    @bp.activity_trigger(input_name="work")
    async def cancel_return(work: dict) -> str:  # type: ignore[type-arg]  # asking.py says why
        return await retry_transient(lambda: saga.cancel_return(ports, _work(work)))

    @bp.activity_trigger(input_name="work")
    async def report_return_attention(work: dict) -> None:  # type: ignore[type-arg]  # asking.py says why
        await retry_transient(lambda: saga.report_return_attention(ports, _work(work)))

    return bp


def _instance(work: saga.ReturnWork) -> str:
    return work.return_id


def _work(work: Any) -> saga.ReturnWork:  # noqa: ANN401  (written by the orchestrator next door)
    reply = work["reply"]
    return saga.ReturnWork(
        order_id=work["order_id"],
        return_id=work["return_id"],
        attempt=work["attempt"],
        cause=work["cause"],
        traceparent=work["traceparent"],
        reply=None if reply is None else Answer(reply["type"], reply["data"]),
        reason=work["reason"],
        step=work.get("step", ""),
    )
