"""In which order the tests run, and what they are spared because others run beside them."""

import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# Both measure time, which here is mostly that of other tests and of a busy machine.
settings.register_profile(
    "beside others", parent=settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("beside others")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first, so that in the end no worker is left alone with a long one."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def unused_tcp_port() -> Iterator[int]:
    """On which nobody listens, nor will: pytest-asyncio's own lets go of it, and another test may get it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
