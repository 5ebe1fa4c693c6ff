"""What the durable engine needs of the functions host: to run one function once."""

from typing import Protocol


class FunctionFailed(Exception):
    """The function raised.

    `message` is the exception's text with its type, as in `ValueError: no such order`; for an orchestrator it
    holds the SDK's whole text, with the state after `$OutOfProcData$:`. `details` is the traceback, or empty.
    """

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class Invoker(Protocol):
    """What is raised besides FunctionFailed is a fault of the host: the work stays and is tried again."""

    def orchestrators(self) -> frozenset[str]:
        """The names that may be started; a start of another is refused, as in Azure."""
        ...

    def activities(self) -> frozenset[str]: ...

    async def run_orchestrator(self, name: str, context_json: str, traceparent: str) -> str:
        """Return the SDK's state as JSON text. Raises FunctionFailed. `traceparent` is W3C, or empty."""
        ...

    async def run_activity(self, name: str, input_json: str, instance_id: str, traceparent: str) -> str:
        """Return the result as JSON text. Raises FunctionFailed.

        `input_json` is what the SDK wrote for the activity's input: the JSON text of the value.
        """
        ...
