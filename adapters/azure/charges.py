"""What requests to Cosmos DB have cost, in request units."""

from collections import Counter
from collections.abc import Callable

type RecordCharge = Callable[[str, str, float], None]
"""Called for each answer with the operation (`read`, `batch` ...), the container and the request units."""


class Charges:
    """The plain counter: by (operation, container)."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str]] = Counter()
        self.request_units: Counter[tuple[str, str]] = Counter()

    def __call__(self, operation: str, container: str, request_units: float) -> None:
        self.requests[operation, container] += 1
        self.request_units[operation, container] += request_units  # type: ignore[assignment]
