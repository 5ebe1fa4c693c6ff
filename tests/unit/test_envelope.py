"""One envelope for everything; what is not one is refused by field."""

from datetime import timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contracts import InvalidContract
from core.envelope import check_command, command_id, from_json, reply_to, to_json, to_message, wrap
from services.payments.messages import Charge, Declined, Refund
from tests.fakes import START

TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
COMMAND = wrap(
    Charge("ord-1", "cust-1", 4200, "GBP", "tok_ok"),
    id=command_id("ord-1", "payments.charge"),
    source="orders",
    subject="ord-1",
    time=START + timedelta(microseconds=1),
    correlation_id="ord-1",
    causation_id="ord-1:orders:2",
    traceparent=TRACE,
)


def body(**changes: object) -> bytes:
    return orjson.dumps({**to_json(COMMAND), **changes})


def test_an_envelope_is_the_same_after_its_way_through_json():
    assert from_json(body()) == COMMAND


def test_it_has_the_attribute_names_of_cloudevents():
    assert to_json(COMMAND) == {
        "specversion": "1.0",
        "id": "ord-1:payments.charge",
        "type": "payments.charge",
        "dataschema": "payments.charge/1",
        "source": "orders",
        "subject": "ord-1",
        "time": "2027-01-15T08:00:00.000001+00:00",
        "correlationid": "ord-1",
        "causationid": "ord-1:orders:2",
        "traceparent": TRACE,
        "data": {
            "order_id": "ord-1",
            "customer_id": "cust-1",
            "amount": 4200,
            "currency": "GBP",
            "payment_method": "tok_ok",
        },
    }


def test_a_resend_is_the_same_envelope_in_a_message_of_its_own():
    first, second = to_message(COMMAND), to_message(COMMAND, attempt=2)
    assert (first.message_id, second.message_id) == ("ord-1:payments.charge/1", "ord-1:payments.charge/2")
    assert first.body == second.body == body()
    assert (first.subject, first.correlation_id) == ("payments.charge", "ord-1")
    assert (first.content_type, first.properties) == ("application/json", {"traceparent": TRACE})


def test_a_reply_is_named_after_its_command_and_continues_its_trace():
    reply = reply_to(
        COMMAND.id,
        Declined("ord-1", "card_declined"),
        source="payments",
        order_id="ord-1",
        time=START,
        traceparent=TRACE,
    )
    assert (reply.id, reply.type) == ("ord-1:payments.charge:reply", "payments.declined")
    assert (reply.causation_id, reply.correlation_id, reply.subject) == (COMMAND.id, "ord-1", "ord-1")
    assert reply.traceparent.startswith("00-" + "a" * 32)
    assert reply.traceparent != TRACE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": ""}, "^id: must be a non-empty string"),
        ({"type": 7}, "^type: must be a non-empty string"),
        ({"correlationid": None}, "^correlationid: must be a non-empty string"),
        ({"dataschema": "payments.charge"}, "^dataschema: must end in /VERSION"),
        ({"dataschema": "payments.charge/x"}, "^dataschema: must end in /VERSION"),
        ({"dataschema": "payments.charge/" + "9" * 5000}, "^dataschema: must end in /VERSION"),
        ({"dataschema": "payments.charge/²"}, "^dataschema: must end in /VERSION"),
        ({"dataschema": "payments.refund/1"}, "^dataschema: must be payments.charge/VERSION"),
        ({"time": "yesterday"}, "^time: "),
        ({"time": "2027-01-15T08:00:00"}, "^time: must have an offset"),
        ({"traceparent": 1}, "^traceparent: must be a string"),
        ({"type": "payments.steal", "dataschema": "payments.steal/1"}, "unknown type 'payments.steal'"),
        ({"data": {}}, "^payments.charge: order_id: "),
    ],
)
def test_what_is_not_an_envelope_is_refused_by_field(changes, message):
    with pytest.raises(InvalidContract, match=message):
        from_json(body(**changes))


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"7", b'{"a":' * 2000])
def test_what_is_not_a_json_object_is_refused(text):
    with pytest.raises(InvalidContract, match=r"^body: "):
        from_json(text)


@given(
    st.binary(max_size=40) | st.builds(orjson.dumps, st.dictionaries(st.text(max_size=5), st.integers(0, 9)))
)
def test_no_bytes_make_it_fail_in_another_way(text):
    with pytest.raises(InvalidContract):
        from_json(text)


json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(sorted(to_json(COMMAND))), json)
def test_a_damaged_attribute_is_refused_or_harmless(field, value):
    try:
        assert from_json(body(**{field: value})).type == "payments.charge"
    except InvalidContract as refused:
        assert str(refused)  # noqa: PT017  (either end is right)


def test_a_command_for_another_order_than_its_data_is_refused():
    check_command(COMMAND, "ord-1")
    with pytest.raises(InvalidContract, match="subject"):
        check_command(COMMAND, "ord-2")
    stranger = wrap(
        Refund("ord-1"),
        id="something else",
        source="orders",
        subject="ord-1",
        time=START,
        correlation_id="ord-1",
        causation_id="x",
    )
    with pytest.raises(InvalidContract, match=r"id: must be 'ord-1:payments.refund'"):
        check_command(stranger, "ord-1")
