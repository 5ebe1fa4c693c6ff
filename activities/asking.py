"""Activities that send a command, or leave their saga to wait.

(The worker takes no annotation but a class: so `dict`, where a JSON object is meant.)
"""

from collections.abc import Callable
from typing import Any, Protocol

import azure.durable_functions as df

from core.resilience import retry_transient
from core.telemetry import bind
from services.orders.saga import Answer, Ports


class Work(Protocol):
    @property
    def order_id(self) -> str: ...
    @property
    def traceparent(self) -> str: ...


class Activity[W: Work](Protocol):
    __name__: str

    async def __call__(self, ports: Ports, work: W) -> Answer | None: ...


def register[W: Work](
    bp: df.Blueprint,
    ports: Ports,
    activity: Activity[W],
    read: Callable[[Any], W],
    instance: Callable[[W], str],
    event: Callable[[W], str],
) -> None:
    """Under the activity's own name.

    An answer that it finds on the order's stream is raised as the `event` that the saga, in the same yield,
    waits for; `instance` is that saga's id.
    """

    async def handle(work: dict, client: df.DurableOrchestrationClient) -> None:  # type: ignore[type-arg]  # see above
        given = read(work)
        with bind(order_id=given.order_id, correlation_id=given.order_id, traceparent=given.traceparent):
            answer = await retry_transient(lambda: activity(ports, given))
        if answer is not None:
            raised = {"type": answer.type, "data": answer.data}
            await client.raise_event(instance(given), event(given), raised)

    handle.__name__ = activity.__name__
    bp.activity_trigger(input_name="work")(bp.durable_client_input(client_name="client")(handle))
