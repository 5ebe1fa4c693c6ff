"""Change feed functions that record the ids they were given; an item's field `do` says what to do with it."""

import asyncio

import azure.functions as func

app = func.FunctionApp()

seen: dict[str, list[str]] = {"plain": [], "from_beginning": [], "held": [], "thrice": [], "polled": []}
"""Ids by function, once for each attempt."""
attempts: list[tuple[int, int]] = []
"""(retry_count, max_retry_count) of each attempt of `held` and `thrice`."""
batches: list[list[str]] = []
now_running: list[str] = []
at_once: list[int] = []
"""How many batches were in hand, at each start of one that sleeps."""
healed: set[str] = set()
"""Ids that no longer fail."""


def forget() -> None:
    for each in (*seen.values(), attempts, batches, now_running, at_once, healed):
        each.clear()


async def _do_as_told(function: str, documents: func.DocumentList) -> None:
    """`do`: `fail`, until the id is in `healed`, or `sleep SECONDS`."""
    ids = [document["id"] for document in documents]
    batches.append(ids)
    seen[function] += ids
    for document in documents:
        task = str(document.get("do", ""))
        if task == "fail" and document["id"] not in healed:
            raise ValueError("asked to fail")
        if task.startswith("sleep "):
            now_running.append(document["id"])
            at_once.append(len(now_running))
            await asyncio.sleep(float(task.removeprefix("sleep ")))
            now_running.remove(document["id"])


@app.cosmos_db_trigger(
    arg_name="documents", connection="Cosmos", database_name="db", container_name="things",
    lease_container_prefix="plain", max_items_per_invocation=5, lease_acquire_interval=2000,
    lease_renew_interval=3000, lease_expiration_interval=10000,
)  # fmt: skip
async def plain(documents: func.DocumentList) -> None:
    await _do_as_told("plain", documents)


@app.cosmos_db_trigger(
    arg_name="documents", connection="Cosmos", database_name="db", container_name="things",
    lease_container_prefix="from_beginning", start_from_beginning=True,
)  # fmt: skip
async def from_beginning(documents: func.DocumentList) -> None:
    await _do_as_told("from_beginning", documents)


@app.cosmos_db_trigger(
    arg_name="documents", connection="Cosmos", database_name="db", container_name="things",
    lease_container_prefix="held",
)  # fmt: skip
@app.retry(
    strategy="exponential_backoff",
    max_retry_count="-1",
    minimum_interval="00:00:01",
    maximum_interval="00:00:08",
)
async def held(documents: func.DocumentList, context: func.Context) -> None:
    attempts.append((context.retry_context.retry_count, context.retry_context.max_retry_count))
    await _do_as_told("held", documents)


@app.cosmos_db_trigger(
    arg_name="documents", connection="Cosmos", database_name="db", container_name="things",
    lease_container_prefix="thrice",
)  # fmt: skip
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:05")
async def thrice(documents: func.DocumentList, context: func.Context) -> None:
    attempts.append((context.retry_context.retry_count, context.retry_context.max_retry_count))
    await _do_as_told("thrice", documents)


@app.cosmos_db_trigger(
    arg_name="documents", connection="Cosmos", database_name="db", container_name="things",
    lease_container_prefix="polled", feed_poll_delay=5000,
)  # fmt: skip
async def polled(documents: func.DocumentList) -> None:
    await _do_as_told("polled", documents)
