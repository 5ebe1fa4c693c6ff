"""What `$management` answers, request by request, without a connection."""

import uuid
from pathlib import Path

import pytest

from emulator.wire.amqp.encoding import encode, encode_described, encode_list
from emulator.wire.amqp.management import ManagementAnswer, handle
from emulator.wire.amqp.message_decoding import decode_message
from emulator.wire.amqp.sections import ANNOTATIONS, DATA, PROPERTIES, SCHEDULED_TIME
from emulator.wire.amqp.values import Array, Symbol, Timestamp, Value
from tests.emulator.servicebus_support import DEAD, Bus, opened, simulated


async def ask(bus: Bus, path: str, operation: str, body: Value) -> ManagementAnswer:
    return await handle(bus.engine, path, f"com.microsoft:{operation}", body, {"associated-link-name": "me"})


def scheduled(bus: Bus, text: str, after_s: float = 60) -> bytes:
    at = Timestamp(int((bus.clock.time() + after_s) * 1000))
    return (
        encode_described(ANNOTATIONS, encode({Symbol(SCHEDULED_TIME): at}))
        + encode_described(PROPERTIES, encode_list((encode(text),)))
        + encode_described(DATA, encode(text.encode()))
    )


def bodies(answer: ManagementAnswer) -> list[bytes]:
    assert isinstance(answer.body, dict)
    entries = answer.body["messages"]
    assert isinstance(entries, list)
    return [decode_message(entry["message"]).body for entry in entries]


async def held_and_deferred(bus: Bus) -> tuple[uuid.UUID, int]:
    """The lock token of one message, the number of another that is deferred."""
    await bus.send("patient", "held", "set aside")
    held, aside = await bus.receive("patient")
    await bus.engine.defer("patient", [aside.lock_token])
    return uuid.UUID(held.lock_token), aside.sequence_number


@simulated
async def test_renewing_answers_an_expiration_for_each_lock(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("patient", "a", "b")
        tokens = [uuid.UUID(message.lock_token) for message in await bus.receive("patient")]
        answer = await ask(bus, "patient", "renew-lock", {"lock-tokens": tokens})
        until = round((bus.clock.time() + 30) * 1000)
        assert answer == ManagementAnswer(200, "OK", body={"expirations": Array("timestamp", [until, until])})


@simulated
async def test_a_lock_that_is_lost_is_a_410(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        lost = {"lock-tokens": [uuid.uuid4()], "disposition-status": "completed"}
        for operation in ("renew-lock", "update-disposition"):
            answer = await ask(bus, "patient", operation, lost)
            assert (answer.status, answer.condition) == (410, "com.microsoft:message-lock-lost")


@simulated
async def test_each_disposition_is_done(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        for status in ("completed", "abandoned", "defered", "suspended"):
            await bus.send("patient", status)
            [held] = await bus.receive("patient")
            answer = await ask(
                bus,
                "patient",
                "update-disposition",
                {
                    "disposition-status": status,
                    "lock-tokens": [uuid.UUID(held.lock_token)],
                    "deadletter-reason": "Broken",
                    "deadletter-description": "no such field",
                },
            )
            assert answer == ManagementAnswer(200, "OK")
            left = [(each.message_id, each.state) for each in bus.engine.peek("patient", 0, 9)]
            match status:
                case "completed":
                    assert left == []
                case "abandoned":
                    assert left == [("abandoned", "active")]
                    await bus.engine.receive_and_delete("patient", 1)
                case _:
                    assert left == [("defered", "deferred")]
        [dead] = await bus.receive("patient" + DEAD)
        assert (dead.dead_letter_reason, dead.dead_letter_description) == ("Broken", "no such field")


@simulated
async def test_peeking_shows_every_state_and_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await held_and_deferred(bus)
        await bus.send("patient", "later", scheduled_for=bus.clock.time() + 60)
        commits = bus.store.commits
        request = {"from-sequence-number": 1, "message-count": 10}
        assert bodies(await ask(bus, "patient", "peek-message", request)) == [b"held", b"set aside", b"later"]
        request["message-count"] = 2
        assert bodies(await ask(bus, "patient", "peek-message", request)) == [b"held", b"set aside"]
        request["from-sequence-number"] = 10_000
        assert await ask(bus, "patient", "peek-message", request) == ManagementAnswer(204, "No Content")
        assert bus.store.commits == commits


@simulated
async def test_peeking_answers_fewer_messages_than_a_megabyte_is_passed_by(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        for number in range(8):
            await bus.send("patient", "x" * 200_000, message_id=str(number))
        request = {"from-sequence-number": 1, "message-count": 10}
        assert len(bodies(await ask(bus, "patient", "peek-message", request))) == 5


@simulated
async def test_deferred_messages_are_locked_again_or_taken(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        _, number = await held_and_deferred(bus)
        request: dict[Value, Value] = {"sequence-numbers": [number], "receiver-settle-mode": 1}
        answer = await ask(bus, "patient", "receive-by-sequence-number", request)
        assert bodies(answer) == [b"set aside"]
        assert isinstance(answer.body, dict)
        assert bus.store.read("SELECT owner FROM bus_messages WHERE sequence = ?", (number,)) == [("me",)]
        token = str(answer.body["messages"][0]["lock-token"])
        again = await ask(bus, "patient", "receive-by-sequence-number", request)
        assert (again.status, again.condition) == (404, "com.microsoft:message-not-found")
        await bus.engine.abandon("patient", [token])
        request["receiver-settle-mode"] = 0
        answer = await ask(bus, "patient", "receive-by-sequence-number", request)
        assert bodies(answer) == [b"set aside"]
        assert isinstance(answer.body, dict)
        assert "lock-token" not in answer.body["messages"][0]
        assert bus.account("patient").completed == 1


@simulated
async def test_scheduled_messages_are_cancelled_by_the_numbers_that_were_answered(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        request: Value = {"messages": [{"message": scheduled(bus, text)} for text in ("a", "b")]}
        for path in ("patient", "events"):
            answer = await ask(bus, path, "schedule-message", request)
            assert isinstance(answer.body, dict)
            numbers = answer.body["sequence-numbers"]
            assert isinstance(numbers, Array)
            assert numbers.of == "long"
            peeked = bus.engine.peek(path, 0, 9)
            assert [each.sequence_number for each in peeked] == list(numbers.values)
            assert {each.state for each in peeked} == {"scheduled"}
            cancel = {"sequence-numbers": list(numbers.values)}
            assert await ask(bus, path, "cancel-scheduled-message", cancel) == ManagementAnswer(200, "OK")
            again = await ask(bus, path, "cancel-scheduled-message", cancel)
            assert (again.status, again.condition) == (404, "com.microsoft:message-not-found")


@simulated
async def test_a_message_too_large_or_sent_while_the_bus_is_busy_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        large = {"messages": [{"message": scheduled(bus, "x" * 300_000)}]}
        answer = await ask(bus, "patient", "schedule-message", large)
        assert (answer.status, answer.condition) == (403, "amqp:link:message-size-exceeded")
        bus.engine.fail_until(bus.clock.time() + 1)
        answer = await ask(
            bus, "patient", "schedule-message", {"messages": [{"message": scheduled(bus, "a")}]}
        )
        assert (answer.status, answer.condition) == (503, "com.microsoft:server-busy")
        assert bus.account("patient").accepted == 0


@simulated
async def test_a_dead_letter_is_not_dead_lettered_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        await bus.send("patient", "a")
        [held] = await bus.receive("patient")
        await bus.engine.dead_letter("patient", [held.lock_token], "Broken", "")
        [dead] = await bus.receive("patient" + DEAD)
        answer = await ask(
            bus,
            "patient" + DEAD,
            "update-disposition",
            {"disposition-status": "suspended", "lock-tokens": [uuid.UUID(dead.lock_token)]},
        )
        assert (answer.status, answer.condition) == (400, "amqp:not-allowed")


@simulated
async def test_what_is_not_served_is_refused_by_its_name(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        for operation in (
            "get-session-state",
            "set-session-state",
            "renew-session-lock",
            "get-message-sessions",
        ):
            answer = await ask(bus, "patient", operation, {"session-id": "s"})
            assert (answer.status, answer.condition) == (400, "amqp:not-allowed")
        for operation in ("add-rule", "remove-rule", "enumerate-rules", "", "peek"):
            answer = await ask(bus, "patient", operation, {})
            assert (answer.status, answer.condition) == (501, "amqp:not-implemented")
            assert operation in answer.description
        for path in ("nowhere", "nowhere/Subscriptions/x"):
            answer = await ask(bus, path, "peek-message", {"from-sequence-number": 1, "message-count": 1})
            assert (answer.status, answer.condition) == (404, "amqp:not-found")


REFUSED: list[tuple[str, Value, str]] = [
    ("renew-lock", None, "body"),
    ("renew-lock", {}, "lock-tokens"),
    ("renew-lock", {"lock-tokens": []}, "lock-tokens"),
    ("renew-lock", {"lock-tokens": ["held"]}, "lock-tokens"),
    ("peek-message", {"message-count": 1}, "from-sequence-number"),
    ("peek-message", {"from-sequence-number": 1, "message-count": 0}, "message-count"),
    ("peek-message", {"from-sequence-number": True, "message-count": 1}, "from-sequence-number"),
    ("peek-message", {"from-sequence-number": 2**63, "message-count": 1}, "from-sequence-number"),
    ("receive-by-sequence-number", {"sequence-numbers": [1]}, "receiver-settle-mode"),
    ("receive-by-sequence-number", {"sequence-numbers": [1], "receiver-settle-mode": 2}, "settle-mode"),
    ("receive-by-sequence-number", {"sequence-numbers": [], "receiver-settle-mode": 1}, "sequence-numbers"),
    ("receive-by-sequence-number", {"sequence-numbers": ["1"], "receiver-settle-mode": 1}, "sequence-num"),
    ("update-disposition", {"lock-tokens": [uuid.uuid4()]}, "disposition-status"),
    ("update-disposition", {"lock-tokens": [uuid.uuid4()], "disposition-status": "done"}, "'done'"),
    (
        "update-disposition",
        {"lock-tokens": [uuid.uuid4()], "disposition-status": "suspended", "deadletter-reason": 1},
        "deadletter-reason",
    ),
    ("schedule-message", {}, "messages"),
    ("schedule-message", {"messages": [b"x"]}, "messages"),
    ("schedule-message", {"messages": [{"message": b"x"}]}, "message"),
    (
        "schedule-message",
        {"messages": [{"message": encode_described(DATA, encode(b"now"))}]},
        "x-opt-scheduled-enqueue-time",
    ),
    ("cancel-scheduled-message", {"sequence-numbers": None}, "sequence-numbers"),
]


@pytest.mark.parametrize(("operation", "body", "named"), REFUSED)
def test_a_request_that_breaks_a_rule_is_refused_by_the_name_of_the_field(
    operation: str, body: Value, named: str, tmp_path: Path
) -> None:
    @simulated
    async def check() -> None:
        async with opened(tmp_path) as bus:
            commits = bus.store.commits
            answer = await ask(bus, "patient", operation, body)
            assert (answer.status, answer.condition) == (400, "com.microsoft:argument-error")
            assert named in answer.description
            assert bus.store.commits == commits

    check()


@simulated
async def test_a_session_or_changed_properties_are_refused_before_anything_is_done(tmp_path: Path) -> None:
    async with opened(tmp_path) as bus:
        token, number = await held_and_deferred(bus)
        commits = bus.store.commits
        settle = {"disposition-status": "completed", "lock-tokens": [token]}
        answer = await ask(bus, "patient", "update-disposition", settle | {"properties-to-modify": {"a": 1}})
        assert (answer.status, answer.condition) == (501, "amqp:not-implemented")
        for operation, body in (
            ("update-disposition", settle),
            ("receive-by-sequence-number", {"sequence-numbers": [number], "receiver-settle-mode": 0}),
            ("peek-message", {"from-sequence-number": 1, "message-count": 1}),
        ):
            answer = await ask(bus, "patient", operation, body | {"session-id": "s"})
            assert (answer.status, answer.condition) == (400, "amqp:not-allowed")
        assert bus.store.commits == commits
