"""Faults that Service Bus may show, for tests: at least once means sometimes twice, and in any order."""

from dataclasses import dataclass
from random import Random


@dataclass(slots=True)
class Faults:
    """Chances are 0 to 1 and drawn from `random`.

    `redeliver`: a completion is answered but lost, and the message comes again within its lock duration.
    `reorder`: a message is delivered up to `reorder_by_s` late, behind those that were sent after it.
    """

    random: Random
    redeliver: float = 0.0
    reorder: float = 0.0
    reorder_by_s: float = 5.0

    def redelivery_after_ms(self, lock_ms: int) -> int | None:
        """When the completed message comes again, None for not at all."""
        if self.redeliver and self.random.random() < self.redeliver:
            return self.random.randrange(lock_ms)
        return None

    def delay_ms(self) -> int:
        if self.reorder and self.random.random() < self.reorder:
            return self.random.randrange(1, round(self.reorder_by_s * 1000) + 1)
        return 0
