"""`topology/servicebus.json` is what the design asks for, and what is not served is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest

from emulator.servicebus.filters import TRUE_FILTER, CorrelationFilter, takes
from emulator.servicebus.messages import Message
from emulator.servicebus.topology import Topology, TopologyError, parse_topology, read_topology, seconds

PATH = Path(__file__).parents[2] / "topology" / "servicebus.json"


@pytest.fixture(scope="module")
def topology() -> Topology:
    return read_topology(PATH)


def test_no_queue_detects_duplicates_because_a_resend_must_reach_the_service(topology: Topology) -> None:
    assert {queue.name: queue.duplicate_window_s for queue in topology.queues} == dict.fromkeys(
        ("inventory", "payments", "shipping", "notifications", "order-replies", "parked")
    )


def test_the_topics_detect_duplicates_because_a_change_feed_repeats_itself(topology: Topology) -> None:
    assert {topic.name: topic.duplicate_window_s for topic in topology.topics} == {
        "order-events": 300,
        "service-events": 300,
    }


def test_no_entity_of_the_file_has_sessions() -> None:
    text = PATH.read_text()
    assert '"RequiresSession": false' in text
    assert '"RequiresSession": true' not in text


def test_every_entity_delivers_ten_times_and_keeps_what_expired(topology: Topology) -> None:
    subscriptions = [each for topic in topology.topics for each in topic.subscriptions]
    for each in (*topology.queues, *subscriptions):
        assert each.settlement.max_delivery_count == 10, each.name
        assert each.settlement.dead_letter_expired, each.name


def test_the_subscriptions_take_what_their_services_react_to(topology: Topology) -> None:
    topic = next(topic for topic in topology.topics if topic.name == "order-events")
    kinds = ("orders.created", "orders.shipping_created", "orders.cancelled", "orders.needs_attention")
    taken = {
        subscription.name: [
            kind for kind in kinds if takes(subscription.rules, Message(b"", "1", subject=kind))
        ]
        for subscription in topic.subscriptions
    }
    assert taken == {"inventory": [kinds[1]], "notifications": list(kinds[1:])}


def config(
    queue: dict[str, Any] | None = None,
    topic: dict[str, Any] | None = None,
    subscription: dict[str, Any] | None = None,
    rules: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    subscriptions = [{"Name": "s", "Properties": subscription or {}, "Rules": rules or []}]
    return {
        "UserConfig": {
            "Namespaces": [
                {
                    "Name": "sbemulatorns",
                    "Queues": [{"Name": "q", "Properties": queue or {}}],
                    "Topics": [{"Name": "t", "Properties": topic or {}, "Subscriptions": subscriptions}],
                }
            ]
        }
    }


def rule(**properties: Any) -> list[dict[str, Any]]:
    return [{"Name": "r", "Properties": properties}]


def test_what_is_not_said_is_as_in_service_bus() -> None:
    topology = parse_topology(config(), "file")
    [queue], [topic] = topology.queues, topology.topics
    assert (queue.settlement.lock_s, queue.settlement.max_delivery_count) == (60, 10)
    assert queue.settlement.time_to_live_s is None
    assert not queue.settlement.dead_letter_expired
    assert queue.duplicate_window_s is None
    assert topic.duplicate_window_s is None
    assert topic.subscriptions[0].rules == (TRUE_FILTER,)


def test_a_correlation_filter_reads_every_key() -> None:
    keys = {
        "ContentType": "a",
        "CorrelationId": "b",
        "Label": "c",
        "MessageId": "d",
        "ReplyTo": "e",
        "ReplyToSessionId": "f",
        "SessionId": "g",
        "To": "h",
        "Properties": {"i": "j"},
    }
    raw = config(rules=rule(FilterType="Correlation", CorrelationFilter=keys))
    [filter_] = parse_topology(raw, "file").topics[0].subscriptions[0].rules
    message = Message(
        b"",
        message_id="d",
        subject="c",
        correlation_id="b",
        content_type="a",
        session_id="g",
        to="h",
        reply_to="e",
        reply_to_session_id="f",
        properties={"i": "j", "more": 1},
    )
    assert filter_.matches(message)
    for field in ("message_id", "subject", "correlation_id", "content_type", "session_id", "to"):
        changed = {name: getattr(message, name) for name in Message.__dataclass_fields__} | {field: "x"}
        assert not filter_.matches(Message(**changed)), field
    assert not filter_.matches(Message(b"", "d", properties={"i": "j"}))


def test_a_filter_tells_a_property_that_is_null_from_one_that_is_missing() -> None:
    filter_ = CorrelationFilter((), (("i", None),))
    assert filter_.matches(Message(b"", "1", properties={"i": None}))
    assert not filter_.matches(Message(b"", "1"))


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (config(queue={"RequiresSession": True}), "queue q: RequiresSession: sessions are not served"),
        (config(subscription={"RequiresSession": True}), "subscription s: RequiresSession"),
        (config(queue={"ForwardTo": "other"}), "queue q: ForwardTo: forwarding is not served"),
        (config(subscription={"ForwardDeadLetteredMessagesTo": "x"}), "ForwardDeadLetteredMessagesTo"),
        (config(queue={"LockDuration": "30s"}), "queue q: LockDuration: must be an ISO 8601 duration"),
        (config(queue={"LockDuration": "PT6M"}), "LockDuration: must be above zero and at most PT5M"),
        (config(queue={"LockDuration": "PT0S"}), "LockDuration: must be above zero"),
        (config(queue={"DefaultMessageTimeToLive": "PT0S"}), "DefaultMessageTimeToLive: must be above zero"),
        (config(queue={"MaxDeliveryCount": 0}), "MaxDeliveryCount: must be 1 to 2000, found 0"),
        (config(queue={"MaxDeliveryCount": True}), "MaxDeliveryCount: must be 1 to 2000, found True"),
        (config(queue={"RequiresDuplicateDetection": "yes"}), "RequiresDuplicateDetection: must be true or"),
        (config(queue={"LokcDuration": "PT1M"}), "queue q: LokcDuration: no such property"),
        (config(topic={"LockDuration": "PT1M"}), "topic t: LockDuration: no such property"),
        (
            config(rules=rule(FilterType="Sql", SqlFilter={"SqlExpression": "a > 1"})),
            "rule r: SQL filters are not",
        ),
        (config(rules=rule(FilterType="Correlation", CorrelationFilter={})), "needs at least one condition"),
        (
            config(rules=rule(FilterType="Correlation", CorrelationFilter={"Subject": "a"})),
            "CorrelationFilter: Subject: no such property",
        ),
        (
            config(rules=rule(FilterType="Correlation", CorrelationFilter={"Label": 7})),
            "CorrelationFilter.Label: must be a string",
        ),
        (
            config(
                rules=rule(
                    FilterType="Correlation",
                    CorrelationFilter={"Label": "a"},
                    Action={"SqlExpression": "SET sys.To = 'x'"},
                )
            ),
            "rule r: rule actions are not served",
        ),
        (config(rules=rule(CorrelationFilter={"Label": "a"})), "FilterType: must be Correlation, found None"),
        ({"UserConfig": {"Namespaces": []}}, "Namespaces: exactly one is served, found 0"),
        ({}, "UserConfig: must be an object"),
        ({"UserConfig": {"Namespaces": [{"Queues": [{}]}]}}, "a queue has no Name"),
        (
            {"UserConfig": {"Namespaces": [{"Queues": [{"Name": "q"}], "Topics": [{"Name": "Q"}]}]}},
            "Q is there twice",
        ),
    ],
)
def test_what_is_not_served_or_not_valid_is_refused_by_name(raw: dict[str, Any], named: str) -> None:
    with pytest.raises(TopologyError) as refusal:
        parse_topology(raw, "file")
    assert str(refusal.value).startswith("file: ")
    assert named in str(refusal.value)


def test_a_file_that_is_missing_or_not_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match=r"nowhere\.json"):
        read_topology(tmp_path / "nowhere.json")
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(config())[:-1])
    with pytest.raises(TopologyError, match=r"broken\.json"):
        read_topology(broken)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("PT30S", 30), ("PT1M30S", 90), ("P1DT2H", 93600), ("PT0.5S", 0.5), ("P14D", 1209600)],
)
def test_durations_are_iso_8601(text: str, expected: float) -> None:
    assert seconds(text, "field") == expected


@pytest.mark.parametrize("text", ["", "P", "PT", "30", "P1Y", 30, None])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(TopologyError, match="field: must be an ISO 8601 duration"):
        seconds(text, "field")
