"""What the tests of the functions host share: small apps (tests/emulator/apps) on simulated time."""

import functools
import os
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from emulator.documents.model import Container
from emulator.host.app import App
from emulator.host.http_routes import Routes
from emulator.host.limits import Limits, read_limits
from emulator.host.worker import index
from emulator.servicebus.filters import TRUE_FILTER
from emulator.servicebus.topology import Queue, Settlement, Subscription, Topic, Topology
from emulator.simulation import run_simulated

APPS = Path(__file__).parent / "apps"
LOCK_S = 10.0
HELD = Settlement(lock_s=LOCK_S, max_delivery_count=3, time_to_live_s=None, dead_letter_expired=True)
QUEUES = Topology(
    queues=(Queue("work", HELD, None), Queue("batches", HELD, None)),
    topics=(Topic("news", None, None, (Subscription("all", HELD, (TRUE_FILTER,)),)),),
)
CONTAINERS = ("things", "leases")


def app_of(
    script: str,
    *,
    only: Iterable[str] = (),
    limits: Limits | None = None,
    containers: Iterable[str] = CONTAINERS,
) -> App:
    """The app of one script in `apps`; `only` names the functions to host, empty for all."""
    os.environ["WORK_QUEUE"] = "work"
    wanted = frozenset(only)
    functions = tuple(each for each in index(APPS, script) if not wanted or each.name in wanted)
    limits = limits or read_limits(APPS, cores=1)
    return App(
        functions,
        limits,
        Routes(functions, limits.route_prefix),
        QUEUES,
        {name: Container(name, "id") for name in containers},
    )


def on_simulated_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*args: object, **kwargs: object) -> None:
        run_simulated(test(*args, **kwargs))

    return run
