"""What the triggers ask of durable instances; the client says most of it in bare exceptions."""

import azure.durable_functions as df

from core.json import JsonObject
from core.resilience import TransientError
from services.orders.policy import SAGA

_ACTIVE = frozenset({"Pending", "Running", "ContinuedAsNew", "Suspended"})


class SagaUnreachable(TransientError):
    """The durable extension did not take the request; worth repeating."""


async def start(client: df.DurableOrchestrationClient, order_id: str, given: JsonObject) -> None:
    """Raises SagaUnreachable, also when the saga of this order runs already."""
    try:
        await client.start_new(SAGA, order_id, given)
    except Exception as error:
        raise SagaUnreachable(f"saga of {order_id} not started: {error}") from error


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
