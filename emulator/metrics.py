"""What the emulator did, counted in memory, per process. Read by the bench and by tests that pin a budget."""

from collections import Counter
from contextvars import ContextVar

type Trigger = str
"""Of the function for which a request is made: http, serviceBus, activity, cosmosDB, timer, ... or none."""

current_trigger: ContextVar[Trigger] = ContextVar("current_trigger", default="none")
"""Set by the functions host around each invocation."""


class Metrics:
    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()

    def document_request(self, container: str) -> None:
        """One request to the documents engine, filed under the trigger that made it."""
        self.counts[f"documents.{current_trigger.get()}", container] += 1

    def message_sent(self, entity: str, number: int = 1) -> None:
        """Messages as sent; a topic's copies are not counted."""
        self.counts["messages", entity] += number

    def durable_action(self, kind: str) -> None:
        """As the Durable Task Scheduler bills: a start, an activity scheduled and completed, a timer, ..."""
        self.counts["durable", kind] += 1

    def wire(self, what: str, number: int = 1) -> None:
        """At the wire endpoints: `cosmos requests`, `cosmos bytes`, `amqp bytes` (both ways)."""
        self.counts["wire", what] += number

    def total(self, name: str) -> int:
        return sum(number for (group, _), number in self.counts.items() if group == name)
