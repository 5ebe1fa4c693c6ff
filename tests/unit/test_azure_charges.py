from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader

from adapters.azure.charges import METRIC, metered


def test_each_operation_records_its_request_units() -> None:
    reader = InMemoryMetricReader()
    record = metered(MeterProvider([reader]).get_meter("orderflow"))
    record("read", "orders", 1.0)
    record("read", "orders", 2.5)
    record("batch", "orders", 20.0)
    data = reader.get_metrics_data()
    assert data is not None
    [metric] = data.resource_metrics[0].scope_metrics[0].metrics
    assert (metric.name, metric.unit) == (METRIC, "{request_unit}")
    found = {}
    for point in metric.data.data_points:
        assert isinstance(point, HistogramDataPoint)
        assert point.attributes is not None
        key = point.attributes["db.operation.name"], point.attributes["db.collection.name"]
        found[key] = (point.count, point.sum)
    assert found == {("read", "orders"): (2, 3.5), ("batch", "orders"): (1, 20.0)}
