"""Orchestrators and activities, run for the durable engine."""

from __future__ import annotations

from collections.abc import Iterable

from azure_functions_runtime.bindings.datumdef import Datum

from emulator.durable.invoker import FunctionFailed, Invoker
from emulator.host.functions import Function
from emulator.host.invocations import Invocations
from emulator.host.worker import InvocationFailed


class DurableInvoker(Invoker):
    def __init__(self, functions: Iterable[Function], invocations: Invocations) -> None:
        self._invocations = invocations
        self._orchestrators: dict[str, Function] = {}
        self._activities: dict[str, Function] = {}
        for function in functions:
            if function.trigger.type == "orchestrationTrigger":
                self._orchestrators[function.trigger.text("orchestration", function.name)] = function
            elif function.trigger.type == "activityTrigger":
                self._activities[function.trigger.text("activity", function.name)] = function

    def orchestrators(self) -> frozenset[str]:
        return frozenset(self._orchestrators)

    def activities(self) -> frozenset[str]:
        return frozenset(self._activities)

    async def run_orchestrator(self, name: str, context_json: str, traceparent: str) -> str:
        return await self._run(self._orchestrators[name], Datum(context_json, "string"), traceparent)

    async def run_activity(self, name: str, input_json: str, instance_id: str, traceparent: str) -> str:
        # The instance is of no use to a Python activity: the worker does not pass it on.
        del instance_id
        return await self._run(self._activities[name], Datum(input_json, "json"), traceparent)

    async def _run(self, function: Function, argument: Datum, traceparent: str) -> str:
        try:
            result = await self._invocations.run(
                function, [(function.trigger.name, argument)], traceparent=traceparent
            )
        except InvocationFailed as failure:
            raise FunctionFailed(str(failure), failure.details) from failure
        return "null" if result is None or result.value is None else str(result.value)
