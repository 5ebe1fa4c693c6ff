"""Application properties come back with the types that AMQP knows and JSON does not."""

import asyncio
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.servicebus import properties
from emulator.servicebus.errors import InvalidMessage
from emulator.servicebus.messages import Message, PropertyValue
from tests.emulator.servicebus_support import ALL, opened, simulated

times = st.integers(-(10**13), 10**14).map(
    lambda number: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=number)
)
values = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=9)
    | st.sampled_from(["[", '["uuid", "x"]', "[]"])
    | st.binary(max_size=9)
    | st.uuids()
    | times
)


@given(st.dictionaries(st.text(max_size=5), values))
def test_every_value_comes_back_with_its_type(given: dict[str, PropertyValue]) -> None:
    found = properties.decode(properties.encode(given))
    assert found == given
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in given.items()
    }


def test_what_is_no_number_stays_none() -> None:
    found = properties.decode(properties.encode({"a": math.nan}))["a"]
    assert isinstance(found, float)
    assert math.isnan(found)


def test_strings_and_whole_numbers_are_kept_as_plain_json() -> None:
    assert properties.encode({"a": "x", "b": 1, "c": None, "d": True}) == '{"a":"x","b":1,"c":null,"d":true}'


@pytest.mark.parametrize(
    "value",
    [2**64, -(2**63) - 1, "\ud800", datetime.fromisoformat("2026-01-01"), [1], {"a": 1}, object()],
    ids=["above", "below", "half of a character", "naive time", "list", "dict", "object"],
)
def test_a_value_that_cannot_be_kept_is_refused(value: PropertyValue) -> None:
    with pytest.raises(InvalidMessage, match="application propert"):
        properties.encode({"fine": b"x", "a": value})


@simulated
async def test_a_message_whose_property_cannot_be_kept_leaves_nothing_behind(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        good, bad = Message(b"", "1"), Message(b"", "2", properties={"a": 2**70})
        with pytest.raises(InvalidMessage):
            await bus.engine.send("work", [good, bad])
        assert bus.account("work").accepted == 0


@simulated
async def test_a_scheduled_message_keeps_what_came_over_the_wire_until_it_is_received(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        given = {"id": UUID(int=7), "raw": b"\x00\xff", "at": datetime(2026, 5, 1, tzinfo=UTC)}
        await bus.send(
            "events", "a", properties=given, amqp=b"\x00S", scheduled_for=bus.clock.time() + 1, to="here"
        )
        [peeked] = bus.engine.peek("events", 0, 1)
        await asyncio.sleep(1.1)
        held = await bus.receive(ALL)
        assert len(held) == 1
        for message in (peeked, *held):
            assert (message.properties, message.amqp, message.to) == (given, b"\x00S", "here")
