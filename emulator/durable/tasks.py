"""Activities to be run, and run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ActivityTask:
    sequence: int
    instance_id: str
    execution_id: str
    task_id: int
    name: str
    input: str
    traceparent: str


@dataclass(frozen=True, slots=True)
class EndedActivity:
    """Its task row stays until the event is recorded: when this process dies before that, it is run again."""

    task: ActivityTask
    event: str
    succeeded: bool
