"""What the triggers ask of durable instances; the client says most of it in bare exceptions."""

from dataclasses import dataclass

import azure.durable_functions as df

from core.json import JsonObject
from core.resilience import TransientError
from core.telemetry import root_traceparent
from services.orders.policy import OPERATOR_EVENT, RETURN_SAGA, SAGA, Policy, ReturnPolicy, return_input

_ACTIVE = frozenset({"Pending", "Running", "ContinuedAsNew", "Suspended"})


class SagaUnreachable(TransientError):
    """The durable extension did not take the request; worth repeating."""


async def start(
    client: df.DurableOrchestrationClient, instance_id: str, given: JsonObject, saga: str = SAGA
) -> None:
    """Raises SagaUnreachable, also when the saga of this order or return runs already."""
    try:
        await client.start_new(saga, instance_id, given)
    except Exception as error:
        raise SagaUnreachable(f"saga of {instance_id} not started: {error}") from error


async def is_active(client: df.DurableOrchestrationClient, instance_id: str) -> bool:
    """False for an instance that is absent, completed, failed or terminated. Raises SagaUnreachable."""
    try:
        status = await client.get_status(instance_id)
    except Exception as error:
        raise SagaUnreachable(f"no status of {instance_id}: {error}") from error
    return bool(status) and status.runtime_status.name in _ACTIVE


async def raise_event(
    client: df.DurableOrchestrationClient, instance_id: str, name: str, value: object
) -> bool:
    """Whether there was an instance to take it. Raises SagaUnreachable.

    The client raises a bare Exception for an absent instance (404), a finished one (410) and a fault alike;
    the status tells them apart.
    """
    try:
        await client.raise_event(instance_id, name, value)
    except Exception as error:
        if await is_active(client, instance_id):
            raise SagaUnreachable(f"event {name} not taken: {error}") from error
        return False
    return True


@dataclass(frozen=True, slots=True)
class ReturnSagas:
    """The sagas of returns, and the policies that they are started with."""

    policy: Policy
    returns: ReturnPolicy

    async def start(
        self, client: df.DurableOrchestrationClient, order_id: str, return_id: str, traceparent: str
    ) -> None:
        """Unless it runs already. Raises SagaUnreachable."""
        if not await is_active(client, return_id):
            given = return_input(self.policy, self.returns, order_id, traceparent)
            await start(client, return_id, given, RETURN_SAGA)

    async def wake(self, client: df.DurableOrchestrationClient, order_id: str, return_id: str) -> None:
        """One that waits to try a step again; start it if there is none. Raises SagaUnreachable."""
        if not await raise_event(client, return_id, OPERATOR_EVENT, {}):
            await self.start(client, order_id, return_id, root_traceparent(order_id))
