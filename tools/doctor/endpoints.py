"""Who answers on the ports of docker-compose.yml and of the embedded emulator."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tools.doctor.findings import Finding, note, ok, wrong

type Ask = Callable[[int, bytes], bytes | None]
"""Sends to a port of 127.0.0.1 and returns what comes back, b"" for silence; None when nothing listens."""

AMQP_SASL = b"AMQP\x03\x01\x00\x00"
"""How a connection that will authenticate begins, on both sides (AMQP 1.0, part 5.3.2)."""


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()


@dataclass(frozen=True, slots=True)
class Endpoint:
    port: int
    name: str
    question: bytes
    sign: re.Pattern[bytes]
    """What is in the answer of the right peer, when it is ready."""
    service: str
    """In docker-compose.yml."""


EMULATORS = (
    Endpoint(10000, "Azurite blobs", get("/"), re.compile(rb"Server: Azurite-Blob", re.I), "azurite"),
    Endpoint(10001, "Azurite queues", get("/"), re.compile(rb"Server: Azurite-Queue", re.I), "azurite"),
    Endpoint(10002, "Azurite tables", get("/"), re.compile(rb"Server: Azurite-Table", re.I), "azurite"),
    Endpoint(5672, "Service Bus", AMQP_SASL, re.compile(rb"^AMQP"), "servicebus"),
    Endpoint(5300, "Service Bus health", get("/health"), re.compile(rb'"healthy"'), "servicebus"),
    Endpoint(8081, "Cosmos DB", get("/"), re.compile(rb"^HTTP/1"), "cosmos"),
    Endpoint(8080, "Cosmos DB health", get("/ready"), re.compile(rb'"overall":\s*true'), "cosmos"),
    Endpoint(1234, "Cosmos DB explorer", get("/"), re.compile(rb"^HTTP/1"), "cosmos"),
)

# gRPC is HTTP/2, for which one would have to speak HTTP/2: that somebody listens is all that is asked.
SCHEDULER = (
    Endpoint(8090, "Durable scheduler", b"", re.compile(rb""), "scheduler"),
    Endpoint(8082, "scheduler dashboard", get("/"), re.compile(rb"^HTTP/1"), "scheduler"),
)


def emulators(ask: Ask, endpoints: Sequence[Endpoint], command: str) -> list[Finding]:
    """`command` starts what is not there."""
    answers = [(endpoint, ask(endpoint.port, endpoint.question)) for endpoint in endpoints]
    if all(answer is None for _, answer in answers):
        ports = ", ".join(str(endpoint.port) for endpoint in endpoints)
        return [wrong("emulators", f"none is started; their ports are free ({ports})", command)]
    return [_judge(endpoint, answer, command) for endpoint, answer in answers]


def _judge(endpoint: Endpoint, answer: bytes | None, command: str) -> Finding:
    subject = f"port {endpoint.port}"
    if answer is None:
        return wrong(subject, f"{endpoint.name}: nothing listens", command)
    if endpoint.sign.search(answer):
        return ok(subject, f"{endpoint.name} answers")
    mend = f"docker compose logs {endpoint.service}; if it is not ours: {_who_listens(endpoint.port)}"
    return wrong(subject, f"{endpoint.name} is not ready, or another program listens: {_shown(answer)}", mend)


def own_port(ask: Ask, port: int) -> Finding:
    """Where `make start` serves HTTP."""
    answer = ask(port, get("/api/health"))
    subject, mend = f"port {port}", f"make start PORT={port + 1}; or {_who_listens(port)}"
    if answer is None:
        return ok(subject, "free for make start")
    if b'{"status":"ok"}' in answer.replace(b" ", b""):
        return note(subject, "Orderflow is running there")
    return note(subject, f"another program listens: {_shown(answer)}", mend)


def wire_ports(ask: Ask, ports: Sequence[int]) -> Finding:
    """Where `make start ADAPTERS=azure` serves AMQP and Cosmos DB, and blobs on the port of HTTP.

    `make demo` takes free ones.
    """
    taken = [str(port) for port in ports if ask(port, b"") is not None]
    subject = "ports " + ", ".join(map(str, ports))
    if not taken:
        return ok(subject, "free for make start ADAPTERS=azure")
    found = f"{' and '.join(taken)} taken; make start ADAPTERS=azure needs them, all else does not"
    return note(subject, found, "make emulators-down")


def _who_listens(port: int) -> str:
    return f"ss -ltnp 'sport = :{port}'"


def _shown(answer: bytes) -> str:
    line = answer.split(b"\r\n")[0][:60]
    return repr(line.decode("latin-1")) if line else "it says nothing"
