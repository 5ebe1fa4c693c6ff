"""The whole app on simulated time: from an order to the outbox, and back by the link of the mail."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from emulator.host.simulated import Simulated
from emulator.simulation import run_simulated
from tests.simulated import evidence, load_stock, problems, running, settle, submit
from tools.api import Line, NewOrder

JSON = {"content-type": "application/json"}


async def call(run: Simulated, method: str, path: str, body: object = None) -> Any:
    answer = await run.request(method, path, JSON, b"" if body is None else orjson.dumps(body))
    assert answer.status == 200, answer.body
    if not answer.body.startswith((b"{", b"[")):
        return answer.body
    return orjson.loads(answer.body)


async def prefer(run: Simulated, customer: str, **preferences: object) -> None:
    path = f"/api/customers/{customer}/notification-preferences"
    await call(run, "PUT", path, {"email": f"{customer}@example.com", **preferences})


async def outbox(run: Simulated) -> list[Any]:
    """The oldest first."""
    return list(reversed((await call(run, "GET", "/api/development/outbox"))["items"]))


def order(customer: str, **more: Any) -> NewOrder:
    return NewOrder(customer, (Line("GLASS", 1, 250),), **more)


def test_customers_are_told_in_their_language_until_they_switch_it_off(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as run:
            await load_stock(run, {"GLASS": 10})
            await prefer(run, "ada", locale="en-GB")
            await prefer(run, "eva", locale="de-AT")
            orders = [await submit(run, order("ada"), "1"), await submit(run, order("bob"), "2")]
            orders += [await submit(run, order("eva", delivery="sandbox-refused"), "3")]
            await settle(run)

            mails = {mail["title"]: mail for mail in await outbox(run)}
            shipped = mails[f"Your order {orders[0]} is on its way"]
            assert shipped["to"] == ["ada@example.com"]
            cancelled = mails[f"Ihre Bestellung {orders[2]} wurde storniert"]
            assert (cancelled["to"], cancelled["unsubscribe_url"]) == (["eva@example.com"], "")
            refunded = mails[f"£ 2,50 für {orders[2]} erstattet"]
            assert refunded["to"] == ["eva@example.com"]
            assert len(mails) == 3
            [told] = (await call(run, "GET", f"/api/notifications?order_id={orders[0]}"))["items"]
            assert [attempt["status"] for attempt in told["attempts"]] == ["sent"]
            assert await call(run, "GET", f"/api/notifications/{told['id']}") == told

            link = urlsplit(shipped["unsubscribe_url"]).path
            assert b"Switch it off" in await call(run, "GET", link)
            await call(run, "POST", link)
            orders += [await submit(run, order("ada"), "4")]
            await settle(run)
            assert len(await outbox(run)) == 3
            assert problems(evidence(run, tmp_path, orders)) == []

    run_simulated(scenario())


def test_a_customer_is_asked_to_confirm_a_payment_and_told_which_order_takes_another_s_place(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as run:
            await load_stock(run, {"GLASS": 10})
            await prefer(run, "ada")
            now = run.engines.clock.time()
            id = await submit(run, order("ada", payment_method="tok_action_abandoned"), "1")
            await run.until(lambda: run.engines.clock.time() > now + 60, 3600, step_s=10)
            [mail] = await outbox(run)
            assert mail["title"] == f"Your order {id} waits for your payment"

            other = {
                "lines": [{"sku": "GLASS", "quantity": 2, "unit_price": 250}],
                "payment_method": "tok_ok",
            }
            headers = JSON | {"idempotency-key": "r"}
            body = orjson.dumps(other)
            answer = await run.request("POST", f"/api/orders/{id}/replacement", headers, body)
            assert answer.status == 202, answer.body
            await settle(run)
            replaced = await call(run, "GET", f"/api/orders/{id}")
            mails = {mail["title"]: mail for mail in await outbox(run)}
            assert (
                f"your order {replaced['replaced_by']} takes its place"
                in (mails[f"Your order {id} was cancelled"]["text"])
            )
            assert f"Your order {replaced['replaced_by']} is on its way" in mails
            orders = [id, replaced["replaced_by"]]
            assert problems(evidence(run, tmp_path, orders)) == []

    run_simulated(scenario())


def test_a_mail_waits_for_the_end_of_quiet_hours_on_the_queue(tmp_path: Path) -> None:
    """Three hours: longer than a message of the queue lives once it is due."""

    async def scenario() -> None:
        async with running(tmp_path) as run:
            await load_stock(run, {"GLASS": 10})
            now = run.engines.clock.time()
            start, end = (int(now) // 3600 % 24, (int(now) // 3600 + 3) % 24)
            quiet = {"start": f"{start:02}:00", "end": f"{end:02}:00"}
            await prefer(run, "ada", quiet_hours=quiet)
            id = await submit(run, order("ada"), "1")
            await run.until(lambda: run.engines.clock.time() > now + 600, 3600, step_s=60)
            [told] = (await call(run, "GET", f"/api/notifications?order_id={id}"))["items"]
            assert told["status"] == "queued"
            await settle(run)
            [mail] = await outbox(run)
            assert f"T{end:02}:00:0" in mail["sent_at"]
            assert problems(evidence(run, tmp_path, [id])) == []

    run_simulated(scenario())


def test_a_difference_of_money_is_an_alert_until_an_operator_closes_it(tmp_path: Path) -> None:
    """A second charge at the gateway, of which no payment knows."""

    async def scenario() -> None:
        async with running(tmp_path) as run:
            await load_stock(run, {"GLASS": 10})
            id = await submit(run, order("ada"), "1")
            await settle(run)
            charge = await run.engines.documents.read("sandbox", f"charge:{id}", f"charge:{id}")
            again = {name: value for name, value in charge.items() if name[0] != "_"}
            again |= {"id": "charge:again", "payment_id": "pay-again"}
            await run.engines.documents.create("sandbox", "charge:again", again)
            now = run.engines.clock.time()
            await run.until(lambda: run.engines.clock.time() > now + 7200, 7300, step_s=60)
            [alert] = (await call(run, "GET", "/api/operations/alerts"))["items"]
            assert (alert["order_id"], alert["about"]) == (id, "money")
            path = f"/api/operations/alerts/{id}/{alert['id']}/close"
            closed = await call(run, "POST", path, {"note": "paid back by hand"})
            assert (closed["status"], closed["note"]) == ("closed", "paid back by hand")
            assert (await call(run, "GET", "/api/operations/alerts"))["items"] == []

    run_simulated(scenario())


def test_a_template_that_was_put_is_what_is_sent(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as run:
            await load_stock(run, {"GLASS": 10})
            await prefer(run, "ada")
            template = {"title": "Off it goes", "text": "{{ order_id }} by {{ tracking_number }}"}
            await call(run, "PUT", "/api/notification-templates/order_shipped/email/en", template)
            id = await submit(run, order("ada"), "1")
            await settle(run)
            [mail] = await outbox(run)
            assert (mail["title"], mail["html"]) == ("Off it goes", "")
            assert mail["text"].startswith(f"{id} by ")

    run_simulated(scenario())
