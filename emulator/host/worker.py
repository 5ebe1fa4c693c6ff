"""Microsoft's Python worker library, used in this process: it indexes the app and runs its functions.

The library's protobuf-free entry (`azure_functions_runtime.native_invocation`) does not need the worker's
gRPC side; only its loader builds a few message classes, for which `_Protos` stands in.
"""

from __future__ import annotations

import inspect
import logging
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

from azure_functions_runtime import handle_event
from azure_functions_runtime.bindings.datumdef import Datum
from azure_functions_runtime.bindings.meta import load_binding_registry
from azure_functions_runtime.native_invocation import invocation_request_native
from azure_functions_runtime.utils.threadpool import start_threadpool_executor

from emulator.host.functions import AppRefused, Function, describe

SCRIPT = "function_app.py"

type Metadata = Mapping[str, Datum]


class InvocationFailed(Exception):
    """The function raised, or the worker could not decode its input or encode its result."""

    def __init__(self, error: BaseException, details: str) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.error = error
        self.details = details
        """The traceback, as the worker reports it."""


class _BindingInfo(SimpleNamespace):
    """Stands in for the protobuf class; `in` is a keyword, so it is set below."""

    undefined = None
    out = 1
    inout = 2


setattr(_BindingInfo, "in", 0)


class _Protos:
    BindingInfo = _BindingInfo
    RpcFunctionMetadata = SimpleNamespace
    RpcRetryOptions = SimpleNamespace


class _Failures(logging.Filter):
    """Takes the worker's report of a failed invocation out of its log and keeps the exception itself.

    The worker hands back only texts. It logs on the loop's thread right before it returns, so `take`, called
    without a wait in between, gets the exception of that very invocation.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: BaseException | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        if record.msg != "Native invocation failed":
            return True
        self._last = record.exc_info[1] if record.exc_info else None
        return False

    def take(self, text: str) -> BaseException:
        error, self._last = self._last, None
        return error if error is not None else RuntimeError(text)


_failures = _Failures()
_indexed: dict[Path, tuple[Function, ...]] = {}


def index(app_dir: Path, script: str = SCRIPT) -> tuple[Function, ...]:
    """Import the app and have the worker check every function; once per process, since an import has effects.

    Raises AppRefused with the worker's own message.
    """
    path = (app_dir / script).resolve()
    if path in _indexed:
        return _indexed[path]
    if not path.is_file():
        raise AppRefused(f"{app_dir} holds no function app: {script} is not there")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    handle_event.protos = _Protos
    load_binding_registry()
    start_threadpool_executor()
    worker_log = logging.getLogger("azure.functions")
    if _failures not in worker_log.filters:
        worker_log.addFilter(_failures)
    try:
        found = handle_event.index_functions(str(path), str(path.parent)) or []
        functions = tuple(
            describe(each.name, each.function_id, each.raw_bindings, each.retry_options) for each in found
        )
    except AppRefused:
        raise
    except Exception as error:
        raise AppRefused(_explain(error, path.parent)) from error
    for function in functions:
        _run_orchestrators_inline(function)
    _indexed[path] = functions
    return functions


async def invoke(
    function: Function,
    invocation_id: str,
    inputs: Sequence[tuple[str, Datum]],
    metadata: Metadata,
    *,
    traceparent: str,
    retry_count: int = 0,
    max_retry_count: int = 0,
) -> Datum | None:
    """Run one function. Raises InvocationFailed."""
    ok, result, _, error_text, details = await invocation_request_native(
        invocation_id,
        function.function_id,
        inputs,
        metadata,
        trace_parent=traceparent,
        retry_count=retry_count,
        max_retry_count=max_retry_count,
    )
    if not ok:
        error = _failures.take(error_text)
        raise InvocationFailed(error, details) from error
    return result


def _run_orchestrators_inline(function: Function) -> None:
    """An orchestrator is a synchronous function without I/O: a thread of its own would only cost two
    switches."""
    if function.trigger.type != "orchestrationTrigger":
        return
    registry = handle_event._functions
    info = registry.get_function(function.function_id)
    if not inspect.iscoroutinefunction(info.func):
        registry._functions[function.function_id] = info._replace(func=_inline(info.func), is_async=True)


def _inline(orchestrator: Callable[..., str]) -> Callable[..., Awaitable[str]]:
    async def run(**arguments: object) -> str:
        return orchestrator(**arguments)

    return run


def _explain(error: Exception, app_dir: Path) -> str:
    """The worker's message, and where in the app it happened: no line of the emulator or the worker."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(str(app_dir))
    ]
    where = "".join(traceback.format_list(frames)).rstrip()
    message = f"{type(error).__name__}: {error}"
    return f"{message}\n{where}" if where else message
