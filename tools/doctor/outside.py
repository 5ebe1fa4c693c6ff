"""What the checks look at, as it really is."""

import asyncio
import socket
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack

from tools.doctor.entities import NoConnectionFree, Unreachable
from tools.doctor.machine import Ran

COMMAND_S = 20.0
ANSWER_S = 3.0
LOOK_UP_S = 60.0
MAX_ANSWER_BYTES = 64 * 1024

_NO_CONNECTION_FREE = ("amqp:resource-limit-exceeded", "ConnectionsQuotaExceeded")
"""The SDK has no class of its own for a connection that is closed as soon as it is opened."""


def run(command: Sequence[str]) -> Ran | None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_S,
            check=False,
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        return Ran(126, str(error))
    except subprocess.TimeoutExpired:
        return Ran(124, f"no answer within {COMMAND_S:.0f} s")
    return Ran(done.returncode, done.stdout + done.stderr)


def ask(port: int, question: bytes) -> bytes | None:
    try:
        connection = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S)
    except OSError:
        return None
    with connection:
        answer = b""
        try:
            connection.sendall(question)
            while question and len(answer) < MAX_ANSWER_BYTES:
                received = connection.recv(65536)
                answer += received
                if not received or not question.startswith(b"GET"):
                    break
        except OSError:
            return answer  # a peer that resets or says nothing has said this much
    return answer


def entities_there(environment: Mapping[str, str], names: Sequence[str]) -> Sequence[str]:
    """Opens a link to each: the data plane alone is enough, no management rights.

    Raises Unreachable, NoConnectionFree.
    """
    return _within(lambda: _entities_there(environment, names))


def container_keys(environment: Mapping[str, str], database: str, names: Sequence[str]) -> Mapping[str, str]:
    """Reads each: the official emulator does not list them all. Raises Unreachable."""
    return _within(lambda: _container_keys(environment, database, names))


def blob_containers_there(environment: Mapping[str, str], names: Sequence[str]) -> Sequence[str]:
    """Raises Unreachable."""
    return _within(lambda: _blob_containers_there(environment, names))


def _within[Found](look_up: Callable[[], Awaitable[Found]]) -> Found:
    async def limited() -> Found:
        async with asyncio.timeout(LOOK_UP_S):
            return await look_up()

    try:
        return asyncio.run(limited())
    except TimeoutError:
        raise Unreachable(f"no answer within {LOOK_UP_S:.0f} s") from None


# The ports of core/ do not ask what there is, and need not: so the SDKs themselves are asked here. They are
# imported when needed, for that takes a second.


async def _entities_there(environment: Mapping[str, str], names: Sequence[str]) -> Sequence[str]:
    from azure.servicebus.aio import ServiceBusClient  # noqa: PLC0415, TID251
    from azure.servicebus.exceptions import MessagingEntityNotFoundError, ServiceBusError  # noqa: PLC0415, TID251

    from adapters.azure.connections import identity, service_bus_connection  # noqa: PLC0415

    connection = service_bus_connection(environment)
    there = []
    async with AsyncExitStack() as stack:
        if connection.connection_string is not None:
            client = ServiceBusClient.from_connection_string(connection.connection_string, retry_total=0)
        else:
            credential = await stack.enter_async_context(identity(connection))
            client = ServiceBusClient(connection.endpoint, credential, retry_total=0)
        await stack.enter_async_context(client)
        # Each link has its own connection. The official emulator takes ten, all of which a host may have: so
        # one after another, though each takes a second.
        for name in names:
            topic, _, subscription = name.partition("/Subscriptions/")
            try:
                # A queue and a topic are both written to by their name.
                if subscription:
                    async with client.get_subscription_receiver(topic, subscription):
                        there.append(name)
                else:
                    async with client.get_queue_sender(name):
                        there.append(name)
            except MessagingEntityNotFoundError:
                continue
            except ServiceBusError as error:
                full = any(sign in str(error) for sign in _NO_CONNECTION_FREE)
                raise (NoConnectionFree if full else Unreachable)(
                    f"{connection.endpoint}: {error}"
                ) from error
    return there


async def _container_keys(
    environment: Mapping[str, str], database: str, names: Sequence[str]
) -> Mapping[str, str]:
    from azure.core.exceptions import AzureError  # noqa: PLC0415
    from azure.cosmos.exceptions import CosmosResourceNotFoundError  # noqa: PLC0415, TID251

    from adapters.azure.connections import cosmos_connection, identity  # noqa: PLC0415
    from adapters.azure.cosmos_client import cosmos_client  # noqa: PLC0415

    connection = cosmos_connection(environment)
    keys = {}
    async with AsyncExitStack() as stack:
        credential = None
        if connection.connection_string is None:
            credential = await stack.enter_async_context(identity(connection))
        client = cosmos_client(connection, credential)
        stack.push_async_callback(client.close)
        try:
            for name in names:
                container = client.get_database_client(database).get_container_client(name)
                try:
                    properties = await container.read()
                except CosmosResourceNotFoundError:
                    continue
                keys[name] = ",".join(properties["partitionKey"]["paths"])
        except AzureError as error:
            raise Unreachable(f"{connection.endpoint}: {error}") from error
    return keys


async def _blob_containers_there(environment: Mapping[str, str], names: Sequence[str]) -> Sequence[str]:
    from azure.core.exceptions import AzureError  # noqa: PLC0415

    from adapters.azure.blobs import AzureBlobs, blob_client  # noqa: PLC0415
    from adapters.azure.connections import blob_connection, identity  # noqa: PLC0415
    from core.blobs import BlobError, BlobNotFound, BlobsUnavailable  # noqa: PLC0415

    connection = blob_connection(environment)
    there = []
    async with AsyncExitStack() as stack:
        credential = None
        if connection.connection_string is None:
            credential = await stack.enter_async_context(identity(connection))
        client = await stack.enter_async_context(blob_client(connection, credential))
        for name in names:
            try:
                # Whoever may read blobs may ask so, and every endpoint tells a missing blob from a missing
                # container.
                await AzureBlobs(client, name).get("asked-by-the-doctor")
            except BlobNotFound:
                there.append(name)
            except (BlobsUnavailable, AzureError) as error:
                raise Unreachable(f"{connection.endpoint}: {error}") from error
            except BlobError:
                continue
            else:
                there.append(name)
    return there
