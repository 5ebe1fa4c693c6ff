"""Requests to EasyPost by its library, which blocks: each runs in a thread of its own, and what may have
happened is told from what certainly did not.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import easypost
from easypost import errors
from easypost.easypost_object import EasyPostObject
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from core.outside_call import OutcomeUnknown, OutsideUnavailable

REFUSED: Final = (errors.InvalidRequestError, errors.BadRequestError, errors.PaymentError)
_NO_ANSWER: Final = (
    errors.TimeoutError,
    errors.HttpError,
    errors.JsonError,
    errors.InternalServerError,
    errors.GatewayTimeoutError,
    errors.ServiceUnavailableError,
    errors.RedirectError,
    errors.UnknownApiError,
)

THREADS: Final = 32
"""Of its own, as many as the bulkhead lets through unless it is set otherwise, so that a slow EasyPost holds
up nothing else that runs in threads."""

type Shipment = Mapping[str, Any]
"""As EasyPost's API shows it."""

type Request = Callable[[easypost.EasyPostClient], EasyPostObject]


class EasyPostRequests:
    """`timeout_s` is how long one may wait for its connection, and for each of its bytes.

    All raise OutsideUnavailable when nothing happened for certain, and the library's errors for what EasyPost
    refuses: REFUSED, NotFoundError, and UnauthorizedError or ForbiddenError for a key that it does not take.
    """

    def __init__(self, api_key: str, api: str, timeout_s: float) -> None:
        # Its annotations want whole seconds, which requests does not, and its hooks have none.
        self._client = easypost.EasyPostClient(api_key, api_base=api, timeout=timeout_s)  # type: ignore[arg-type]
        # The library repeats what only reads by itself, which its settings cannot switch off; repeats are the
        # policy's. A longer prefix goes before the library's.
        self._client._requests_session.mount(api, HTTPAdapter(pool_maxsize=THREADS, max_retries=0))
        self._client.subscribe_to_response_hook(self._note)  # type: ignore[no-untyped-call]
        self._threads = ThreadPoolExecutor(THREADS, "easypost")
        self._answered = threading.local()

    async def asked(self, request: Request) -> Shipment:
        """Of what changes nothing."""
        return await self._in_thread(request, OutsideUnavailable)

    async def done(self, request: Request) -> Shipment:
        """Raises OutcomeUnknown when EasyPost may have done it."""
        return await self._in_thread(request, OutcomeUnknown)

    async def _in_thread(
        self, request: Request, failed: type[OutsideUnavailable | OutcomeUnknown]
    ) -> Shipment:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, request, failed)

    def _run(self, request: Request, failed: type[OutsideUnavailable | OutcomeUnknown]) -> Shipment:
        try:
            answered = request(self._client)
        except errors.RateLimitError as error:
            after_s = _seconds(self._answered.headers.get("Retry-After", ""))
            raise OutsideUnavailable("easypost: RateLimitError", after_s) from error
        except _NO_ANSWER as error:
            certain = OutsideUnavailable if _never_connected(error) else failed
            raise certain(f"easypost: {type(error).__name__}") from error
        except AttributeError as error:  # what the library makes of JSON that is no answer of EasyPost's
            raise failed("easypost: an answer of another form") from error
        if not isinstance(answered, EasyPostObject) or not isinstance(answered.get("id"), str):
            raise failed("easypost: an answer of another form")
        shown: Shipment = answered.to_dict()
        return shown

    def _note(self, *, headers: Mapping[str, str], **_: object) -> None:
        """The library's errors do not say what the headers were. Called in the thread of the request."""
        self._answered.headers = headers


def _seconds(retry_after: str) -> float:
    """A date, which the header may be too, is none that EasyPost is known to send."""
    return float(retry_after) if retry_after.isascii() and retry_after.isdecimal() else 0.0


def _never_connected(error: errors.ApiError) -> bool:
    """The library hides what `requests` raised, which hides what urllib3 raised."""
    cause = error.__context__
    reason = getattr(cause.args[0], "reason", None) if cause is not None and cause.args else None
    return isinstance(reason, NewConnectionError | ConnectTimeoutError)
