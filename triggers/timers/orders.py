"""Starts what a crash left without a saga."""

import logging
from datetime import timedelta
from functools import partial

import azure.durable_functions as df
import azure.functions as func

from core.resilience import retry_transient
from core.telemetry import bind, log, root_traceparent
from services.orders.handlers import Orders
from services.orders.idle import idle_orders, idle_returns
from services.orders.policy import Policy, start_input
from triggers.sagas import ReturnSagas, SagaUnreachable, is_active, start

logger = logging.getLogger("orderflow.timers.orders")


def blueprint(orders: Orders, policy: Policy, idle_s: float) -> df.Blueprint:
    """`idle_s`: seconds without an event after which an order counts as idle."""
    bp = df.Blueprint()

    @bp.timer_trigger(arg_name="timer", schedule="5,35 * * * * *")
    @bp.durable_client_input(client_name="client")
    async def restart_idle_orders(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
        await restart_idle(orders, policy, client, idle_s)

    return bp


def returns_blueprint(orders: Orders, sagas: ReturnSagas, idle_s: float) -> df.Blueprint:
    """`idle_s`: as above, of a return's order."""
    bp = df.Blueprint()

    @bp.timer_trigger(arg_name="timer", schedule="50 */5 * * * *")
    @bp.durable_client_input(client_name="client")
    async def restart_idle_returns(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
        before = orders.clock.now() - timedelta(seconds=idle_s)
        async for page in idle_returns(orders.documents, before):
            for order_id, return_id in page:
                with bind(order_id=order_id, correlation_id=order_id):
                    await retry_transient(partial(_restart_return, client, sagas, order_id, return_id))

    return bp


async def restart_idle(
    orders: Orders, policy: Policy, client: df.DurableOrchestrationClient, idle_s: float
) -> None:
    """Most idle orders wait for a slow service and have their saga: only those without one are started."""
    before = orders.clock.now() - timedelta(seconds=idle_s)
    async for page in idle_orders(orders.documents, before):
        for order_id in page:
            with bind(order_id=order_id, correlation_id=order_id):
                await retry_transient(partial(_restart, client, policy, order_id))


async def _restart(client: df.DurableOrchestrationClient, policy: Policy, order_id: str) -> None:
    if await is_active(client, order_id):
        return
    try:
        await start(client, order_id, start_input(policy, root_traceparent(order_id)))
    except SagaUnreachable:
        # Another instance of the app was faster, or the next tick will be.
        logger.warning("saga not started", exc_info=True)
    else:
        log(logger, logging.WARNING, "saga of an idle order started")


async def _restart_return(
    client: df.DurableOrchestrationClient, sagas: ReturnSagas, order_id: str, return_id: str
) -> None:
    try:
        await sagas.start(client, order_id, return_id, root_traceparent(order_id))
    except SagaUnreachable:
        logger.warning("saga of a return not started", exc_info=True)
