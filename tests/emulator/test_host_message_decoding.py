"""The short way from a message to the function gives what the worker library's own converter gives."""

from datetime import UTC

from azure.functions.servicebus import ServiceBusMessage, ServiceBusMessageInConverter
from hypothesis import given
from hypothesis import strategies as st

from emulator.host.service_bus_messages import install_fast_decoding, many, one, one_as_it_is
from emulator.servicebus.messages import LockedMessage

texts = st.none() | st.text(max_size=20)
moments = st.integers(1_700_000_000_000, 2_000_000_000_000).map(lambda milliseconds: milliseconds / 1000)
numbers = st.integers(0, 2**53)
messages = st.builds(
    LockedMessage,
    body=st.binary(max_size=20),
    message_id=st.text(max_size=20),
    subject=texts,
    correlation_id=texts,
    content_type=texts,
    session_id=texts,
    to=texts,
    reply_to=texts,
    reply_to_session_id=texts,
    partition_key=texts,
    properties=st.dictionaries(
        st.text(max_size=5),
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.text(max_size=5)
        | st.binary(max_size=5)
        | st.uuids()
        | st.datetimes(timezones=st.just(UTC)),
    ),
    sequence_number=numbers,
    enqueue_sequence_number=numbers,
    enqueued_at=moments,
    expires_at=st.none() | moments,
    delivery_count=st.integers(0, 100),
    dead_letter_reason=texts,
    dead_letter_description=texts,
    state=st.just("active"),
    scheduled_for=st.none(),
    lock_token=st.uuids().map(str),
    locked_until=moments,
)
ATTRIBUTES = sorted(
    name
    for name, value in vars(ServiceBusMessage).items()
    if isinstance(value, property) and name != "force_persistence"
)


def shown(message: ServiceBusMessage) -> dict[str, object]:
    return {"body": message.get_body()} | {name: getattr(message, name) for name in ATTRIBUTES}


@given(messages)
def test_both_ways_give_the_same_message(message: LockedMessage) -> None:
    data, metadata = one(message)
    expected = shown(ServiceBusMessageInConverter.decode(data, trigger_metadata=metadata))
    undo = install_fast_decoding()
    try:
        data, metadata = one_as_it_is(message)
        assert shown(ServiceBusMessageInConverter.decode(data, trigger_metadata=metadata)) == expected
        data, metadata = one(message)
        assert shown(ServiceBusMessageInConverter.decode(data, trigger_metadata=metadata)) == expected
    finally:
        undo()


@given(st.lists(messages, min_size=1, max_size=4))
def test_a_batch_gives_each_message_as_it_would_be_alone(batch: list[LockedMessage]) -> None:
    data, metadata = many(batch)
    found = ServiceBusMessageInConverter.decode(data, trigger_metadata=metadata)
    for message, each in zip(batch, found, strict=True):
        alone, alone_metadata = one(message)
        expected = shown(ServiceBusMessageInConverter.decode(alone, trigger_metadata=alone_metadata))
        assert {**shown(each), "metadata": None} == {**expected, "metadata": None}
