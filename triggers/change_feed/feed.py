"""What all readers of a change feed have in common."""

from collections.abc import Awaitable, Callable

import azure.functions as func

type Reader = Callable[[func.DocumentList], Awaitable[None]]


MAX_ITEMS = 1000
"""More than Azure's 100, so that what a poll finds under load is one batch."""


def on_changes(bp: func.Blueprint, container: str, poll_ms: int) -> Callable[[Reader], object]:
    """Register a function that reads the feed of `container` from its beginning, by leases of its own.

    `poll_ms` is the wait after a look that found nothing; five seconds if nobody says. Each look at a range
    costs about a request unit.

    Without a retry policy Azure moves the checkpoint past a batch that failed; with an endless one the batch
    comes again until infrastructure is back, so a reader parks what no retry can mend.
    """

    def register(reader: Reader) -> object:
        retried = bp.retry(
            strategy="exponential_backoff",
            max_retry_count="-1",
            minimum_interval="00:00:01",
            maximum_interval="00:01:00",
        )(reader)
        return bp.cosmos_db_trigger(
            arg_name="changes",
            connection="CosmosConnection",
            database_name="orderflow",
            container_name=container,
            lease_container_name="leases",
            lease_container_prefix=reader.__name__,
            feed_poll_delay=poll_ms,
            max_items_per_invocation=MAX_ITEMS,
            start_from_beginning=True,  # type: ignore[arg-type]  # the annotation of the SDK is wrong
        )(retried)

    return register
