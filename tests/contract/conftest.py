"""What the tests of the Azure adapters share."""

from collections.abc import Iterator

import pytest

from tests.sdk_pace import faster_sdk


@pytest.fixture(autouse=True, scope="module")
def _faster_sdk() -> Iterator[None]:
    with faster_sdk():
        yield
