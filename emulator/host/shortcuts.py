"""The shortcuts for the SDKs, which are one for a whole process however many instances it runs.

Each of them remembers what it replaced, so taking them back in another order than they came would bring one
back for ever.
"""

from collections.abc import Callable

from emulator.durable import sdk, sdk_replay
from emulator.host import service_bus_messages

_INSTALL = (
    service_bus_messages.install_fast_decoding,
    sdk.install_fast_timestamps,
    sdk.install_cached_tuple_class,
    sdk.install_cached_strict_mode,
    sdk.install_cached_client_binding,
    sdk.install_fast_json,
    sdk.install_fast_documents,
    sdk_replay.install_fast_replay,
)
_users: set[object] = set()
_undos: list[Callable[[], None]] = []


def use() -> Callable[[], None]:
    """Install them with the first user; what is returned takes them back with the last."""
    user = object()
    if not _users:
        _undos.extend(install() for install in _INSTALL)
    _users.add(user)

    def leave() -> None:
        _users.discard(user)
        while _undos and not _users:
            _undos.pop()()

    return leave
