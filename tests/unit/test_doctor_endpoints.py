"""What the doctor says about ports: free, ours, or somebody else's."""

import socket
import threading
from collections.abc import Iterator, Mapping

import pytest

from tools.doctor import outside
from tools.doctor.endpoints import EMULATORS, SCHEDULER, Ask, emulators, get, own_port, wire_ports
from tools.doctor.findings import Status

RIGHT = {
    10000: b"HTTP/1.1 400 Value\r\nServer: Azurite-Blob/3.37.0\r\n\r\n",
    10001: b"HTTP/1.1 400 Bad Request\r\nServer: Azurite-Queue/3.37.0\r\n\r\n",
    10002: b"HTTP/1.1 400 Bad Request\r\nServer: Azurite-Table/3.37.0\r\n\r\n",
    5672: b"AMQP\x03\x01\x00\x00",
    5300: b'HTTP/1.1 200 OK\r\n\r\n{"status":"healthy","message":"Service is healthy."}',
    8081: b"HTTP/1.1 200 OK\r\n\r\n{}",
    8080: b'HTTP/1.1 200 OK\r\n\r\n{"overall": true}',
    1234: b"HTTP/1.1 200 OK\r\n\r\n<html>",
}


def listening(answers: Mapping[int, bytes]) -> Ask:
    return lambda port, question: answers.get(port)


def test_emulators_that_are_not_started_are_one_finding() -> None:
    [finding] = emulators(listening({}), EMULATORS, "make emulators")
    assert finding.status is Status.WRONG
    assert "their ports are free" in finding.found
    assert finding.mend == "make emulators"


def test_emulators_that_answer_are_right() -> None:
    found = emulators(listening(RIGHT), EMULATORS, "make emulators")
    assert [finding.status for finding in found] == [Status.OK] * len(EMULATORS)
    assert [finding.subject for finding in found] == [f"port {port}" for port in RIGHT]


@pytest.mark.parametrize(
    ("port", "answer", "says"),
    [
        (5300, b'HTTP/1.1 503 Service Unavailable\r\n\r\n{"status": "unhealthy"}', "503"),
        (8080, b'HTTP/1.1 200 OK\r\n\r\n{"overall": false}', "200"),
        (10000, b"HTTP/1.1 400 Bad Request\r\nServer: Azurite-Queue/3.37.0\r\n\r\n", "400"),
        (5672, b"\x00" * 500, "\\x00"),
        (5672, b"", "it says nothing"),
    ],
)
def test_one_that_is_not_ready_or_not_ours_is_named_with_what_it_said(
    port: int, answer: bytes, says: str
) -> None:
    found = emulators(listening(RIGHT | {port: answer}), EMULATORS, "make emulators")
    [finding] = [finding for finding in found if finding.status is not Status.OK]
    assert (finding.status, finding.subject) == (Status.WRONG, f"port {port}")
    assert says in finding.found
    assert len(finding.found) < 400
    assert f"ss -ltnp 'sport = :{port}'" in finding.mend


def test_one_that_is_missing_among_others_is_named() -> None:
    answers = {port: answer for port, answer in RIGHT.items() if port != 8081}
    found = emulators(listening(answers), EMULATORS, "make emulators")
    [finding] = [finding for finding in found if finding.status is not Status.OK]
    assert (finding.subject, finding.found) == ("port 8081", "Cosmos DB: nothing listens")


def test_the_scheduler_needs_only_to_listen() -> None:
    found = emulators(
        listening({8090: b"", 8082: b"HTTP/1.1 200 OK"}), SCHEDULER, "make emulators SCHEDULER=1"
    )
    assert [finding.status for finding in found] == [Status.OK, Status.OK]


def test_the_port_of_make_start_is_free_ours_or_taken() -> None:
    assert own_port(listening({}), 7071).status is Status.OK
    ours = own_port(listening({7071: b'HTTP/1.1 200 OK\r\n\r\n{"status":"ok"}'}), 7071)
    assert (ours.status, ours.found) == (Status.NOTE, "Orderflow is running there")
    other = own_port(listening({7071: b"HTTP/1.1 404 Not Found\r\n\r\n"}), 7071)
    assert other.status is Status.NOTE
    assert "make start PORT=7072" in other.mend


def test_taken_ports_of_the_wire_endpoints_are_noted() -> None:
    assert wire_ports(listening({}), (5672, 8081)).status is Status.OK
    taken = wire_ports(listening({8081: b""}), (5672, 8081))
    assert taken.status is Status.NOTE
    assert taken.found.startswith("8081 taken")


@pytest.fixture
def echoing_port() -> Iterator[int]:
    """Sends back what it gets, once, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as peer:
                peer.sendall(peer.recv(1000))

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join(timeout=10)


def test_a_real_port_is_asked_and_its_answer_read_to_the_end(echoing_port: int) -> None:
    assert outside.ask(echoing_port, get("/x")) == get("/x")


def test_a_real_port_without_a_listener_is_free() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        assert outside.ask(probe.getsockname()[1], b"") is None


def test_a_real_command_is_run_and_a_missing_one_is_none() -> None:
    ran = outside.run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert ran == outside.Ran(3, "out\nerr\n")
    assert outside.run(["no-such-command-here"]) is None
