"""What requests to Cosmos DB cost, in request units, as a metric.

Name, unit and attributes are OpenTelemetry's:
https://opentelemetry.io/docs/specs/semconv/database/cosmosdb/#metric-azurecosmosdbclientoperationrequest_charge.
Without an OpenTelemetry SDK that is configured, recording does nothing.
"""

from collections.abc import Callable
from typing import Final

from opentelemetry.metrics import Meter

METRIC: Final = "azure.cosmosdb.client.operation.request_charge"

type RecordCharge = Callable[[str, str, float], None]
"""Called for each answer with the operation (`read`, `batch` ...), the container and the request units."""


def metered(meter: Meter) -> RecordCharge:
    histogram = meter.create_histogram(METRIC, "{request_unit}", "Request units consumed by the operation.")

    def record(operation: str, container: str, request_units: float) -> None:
        histogram.record(
            request_units,
            {
                "db.system.name": "azure.cosmosdb",
                "db.operation.name": operation,
                "db.collection.name": container,
            },
        )

    return record
