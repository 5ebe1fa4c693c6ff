"""A durable client that answers as the SDK's does, bare exceptions included."""
# ruff: noqa: TRY002

import asyncio

from azure.durable_functions.models.DurableOrchestrationStatus import DurableOrchestrationStatus


class FakeDurableClient:
    """`instances` are runtime statuses by id; `fault` makes every call fail as an unreachable host does."""

    def __init__(self) -> None:
        self.instances: dict[str, str] = {}
        self.started: list[tuple[str, str, object]] = []
        self.raised: list[tuple[str, str, object]] = []
        self.fault = False

    async def start_new(self, name: str, instance_id: str, given: object) -> str:
        await self._request()
        if self.instances.get(instance_id) in ("Pending", "Running"):
            raise Exception({"Message": "An Orchestration instance already exists."})
        self.started.append((name, instance_id, given))
        self.instances[instance_id] = "Pending"
        return instance_id

    async def raise_event(self, instance_id: str, name: str, value: object) -> None:
        await self._request()
        status = self.instances.get(instance_id)
        if status is None:
            raise Exception(f"No instance with ID {instance_id} found.")
        if status not in ("Pending", "Running"):
            raise Exception(f"Instance with ID {instance_id} is gone: either completed or failed")
        self.raised.append((instance_id, name, value))

    async def get_status(self, instance_id: str) -> DurableOrchestrationStatus:
        await self._request()
        status = self.instances.get(instance_id)
        if status is None:
            return DurableOrchestrationStatus.from_json("")
        now = "2027-01-15T08:00:00Z"
        return DurableOrchestrationStatus(
            "order_saga", instance_id, createdTime=now, lastUpdatedTime=now, runtimeStatus=status
        )

    async def _request(self) -> None:
        await asyncio.sleep(0)
        if self.fault:
            raise Exception("Webhook returned unrecognized status code 503")
