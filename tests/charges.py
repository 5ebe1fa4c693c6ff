"""Counts what requests to Cosmos DB have cost."""

from collections import defaultdict


class Charges:
    """By operation and container; an `adapters.azure.charges.RecordCharge`."""

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.request_units: defaultdict[tuple[str, str], float] = defaultdict(float)

    def __call__(self, operation: str, container: str, request_units: float) -> None:
        self.requests[operation, container] += 1
        self.request_units[operation, container] += request_units
