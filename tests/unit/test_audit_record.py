"""What is put on record beside the streams: every command that no stream holds, accepted or refused."""

import asyncio
from typing import Any

import pytest

from core.audit import Asked, put_on_record, recording
from core.decider import Rejection
from core.documents import Stored
from core.json import JsonObject
from emulator.simulation import run_simulated
from services.audit.pages import pages
from services.audit.trail import read_trail
from services.notifications.alerts import open_for
from services.notifications.kinds import KINDS
from tests.audit_support import completed, found, shown, verdict, written
from tests.fakes import START, FakeDocuments
from tests.unit.http_support import ORDER, Api, content
from tests.unit.notification_http import NotificationApi
from triggers.change_feed.inventory import project_changes

KIND = next(iter(KINDS))
CUSTOMER = {"customer_id": "ada"}
PREFERENCES = {"email": "ada@example.com", "phone": "+441632960001", "locale": "de"}


async def recorded(documents: FakeDocuments, stream: str) -> list[tuple[str, str, Any]]:
    """What, with which outcome, and what changed; of a refusal its code."""
    trail = await read_trail(documents, "record", stream, 100, None, START)
    assert trail["verified"]["status"] == "valid"
    return [
        (
            str(entry["what"]),
            entry["outcome"],
            entry["changed"]["code"] if entry["outcome"] == "refused" else entry["changed"],  # type: ignore[index,call-overload]
        )
        for entry in trail["entries"]
    ]


async def test_a_refused_command_of_an_order_is_on_record() -> None:
    api = Api()
    id = await completed(api)
    api.clock.advance(5)
    refused = await api.call("cancel_order_request", {"reason": "x"}, route={"order_id": id})
    assert refused.status_code == 409
    body = await shown(api, id, chain="record")
    (entry,) = body["entries"]
    assert (entry["outcome"], entry["what"]) == ("refused", "orders.RequestCancel")
    assert entry["actor"] == "customer:ada"
    assert entry["time"] == api.clock.now().isoformat()
    assert entry["changed"]["code"] == "cannot_cancel"
    assert await found(api, id) == ("valid", None)


async def test_refusals_of_stock_and_its_movements_are_on_record_in_one_chain() -> None:
    api = Api()
    for body in ({"on_hand": 5}, {"on_hand": 3}, {"on_hand": 4, "reason": "one broke"}):
        await api.call("put_inventory", body, route={"sku": "TEA"})
    feed = written(api.documents, "inventory", "TEA")
    for _ in range(2):  # the feed may bring it twice
        await project_changes(api.documents, api.bus, feed)
    body = await shown(api, "TEA", chain="record")
    assert [(entry["what"], entry["outcome"]) for entry in body["entries"]] == [
        ("inventory.SetOnHand", "refused"),
        ("inventory.receipt", "accepted"),
        ("inventory.adjustment", "accepted"),
    ]
    assert body["verified"]["status"] == "valid"
    item = (await api.documents.read("audit", "TEA", "entry:1")).item
    await api.documents.upsert("audit", "TEA", {**item, "outcome": "accepted"})
    assert await found(api, "TEA", "record") == ("broken", 1)
    await api.documents.delete("audit", "TEA", "entry:1")
    assert await found(api, "TEA", "record") == ("broken", 1)


async def test_a_last_entry_of_the_record_that_was_removed_is_missed_at_once() -> None:
    api = Api()
    for _ in range(2):
        await api.call("put_inventory_threshold", {"threshold": 5}, route={"sku": "TEA"})
    await api.documents.delete("audit", "TEA", "entry:2")
    verified = await verdict(api, "TEA", "record")
    assert (verified["broken_at"], verified["reason"], verified["to"]) == (2, "is missing", 1)


async def test_a_threshold_is_on_record_as_it_was_set_removed_and_refused() -> None:
    api = Api()
    sku = {"sku": "TEA"}
    await api.call("put_inventory_threshold", {"threshold": 5}, route=sku)
    await api.call("put_inventory", {"on_hand": 9}, route=sku)
    await api.call("put_inventory_threshold", {"threshold": 5, "margin": 2}, route=sku)
    await api.call("delete_inventory_threshold", route=sku)
    assert await recorded(api.documents, "TEA") == [
        ("inventory.SetThreshold", "refused", "unknown_sku"),
        ("inventory.SetThreshold", "accepted", {"threshold": 5, "margin": 2}),
        ("inventory.SetThreshold", "accepted", {"threshold": None}),
    ]


async def test_cards_on_file_are_on_record_without_anything_to_charge() -> None:
    api = Api()
    card = content(await api.call("add_payment_method", {"token": "tok_ok"}, route=CUSTOMER))
    one = CUSTOMER | {"method_id": card["id"]}
    await api.call("expire_payment_method", route=one)
    assert (await api.call("set_default_payment_method", route=one)).status_code == 422
    await api.call("remove_payment_method", route=one)
    assert (await api.call("expire_payment_method", route=one)).status_code == 404
    assert await recorded(api.documents, "customer:ada") == [
        (
            "payments.keep_card",
            "accepted",
            {"id": card["id"], "default": True, "expired": False, "new": True},
        ),
        ("payments.expire_card", "accepted", {"id": card["id"], "default": False, "expired": True}),
        ("payments.use_card_by_default", "refused", "card_expired"),
        ("payments.forget_card", "accepted", {"id": card["id"]}),
        ("payments.expire_card", "refused", "payment_method_not_found"),
    ]
    assert "tok_ok" not in str(api.documents.items("audit"))


async def test_preferences_are_on_record_without_addresses_and_so_is_an_unsubscription() -> None:
    api = NotificationApi()
    await api.call("put_notification_preferences", PREFERENCES, customer_id="ada")
    changed = await api.call(
        "put_notification_preferences", PREFERENCES, customer_id="ada", headers={"If-Match": '"x"'}
    )
    assert changed.status_code == 412
    set_, refused = await recorded(api.documents, "customer:ada")
    assert set_[:2] == ("notifications.set_preferences", "accepted")
    assert (set_[2]["locale"], set_[2]["addresses"]) == ("de", {"email": 1, "phone": 1, "push": 0})
    assert refused == ("notifications.set_preferences", "refused", "preferences_changed")
    assert "example.com" not in str(api.documents.items("audit"))
    assert "1632" not in str(api.documents.items("audit"))


async def test_templates_are_on_record_by_their_versions() -> None:
    api = NotificationApi()
    named = {"kind": KIND, "channel": "sms", "locale": "de"}
    await api.call("put_notification_template", {"text": "Danke"}, **named)
    await api.call("withdraw_notification_template", **named)
    assert (await api.call("withdraw_notification_template", **named)).status_code == 404
    assert await recorded(api.documents, f"template:{KIND}:sms:de") == [
        ("notifications.replace_template", "accepted", {"version": 1}),
        ("notifications.withdraw_template", "accepted", {}),
        ("notifications.withdraw_template", "refused", "unknown_template"),
    ]


async def test_what_operators_do_to_orders_and_read_models_is_on_record() -> None:
    api = Api()
    id = await completed(api)
    assert (await api.call("retry_order", route={"order_id": id})).status_code == 409
    other = await api.placed()
    await api.call("retry_order", route={"order_id": other})
    assert await recorded(api.documents, id) == [("orders.retry", "refused", "order_ended")]
    assert await recorded(api.documents, other) == [("orders.retry", "accepted", {"status": "created"})]
    await api.call("rebuild_projection", route={"name": "orders"})
    await api.call("replay_projection", route={"name": "orders"})
    rebuilt, replayed = await recorded(api.documents, "projection:orders")
    assert (rebuilt[:2], replayed[:2]) == (
        ("operations.rebuild", "accepted"),
        ("operations.replay", "accepted"),
    )
    assert replayed[2]["phase"] == "emptying"


async def test_what_services_refuse_is_shown_as_refused() -> None:
    api = Api()
    entry: JsonObject = {"version": 1, "type": "payments.declined", "data": {"reason": "card_declined"}}
    for page in pages("payments", "ord-9", [{**entry, "stream": "ord-9"}]):
        await api.documents.upsert("audit", "ord-9", page)
    (seen,) = (await shown(api, "ord-9"))["entries"]
    assert (seen["outcome"], seen["changed"]) == ("refused", {"reason": "card_declined"})


def test_what_is_recorded_at_once_is_chained_all_the_same() -> None:
    async def scenario() -> None:
        documents = FakeDocuments()
        asked = [Asked("s", f"c.{number}", "a", "s") for number in range(6)]
        await asyncio.gather(*[put_on_record(documents, each, "refused", {}, START) for each in asked])
        body = await read_trail(documents, "record", "s", 100, None, START)
        (verified,) = body["verified"]["chains"]
        assert (verified["status"], verified["to"]) == ("valid", 6)

    run_simulated(scenario())


async def test_what_has_an_id_of_its_own_is_recorded_once() -> None:
    documents = FakeDocuments()
    for _ in range(2):
        async with recording(documents, Asked("s", "c", "a", "s"), START, id="one") as record:
            record["did"] = "it"
    assert await recorded(documents, "s") == [("c", "accepted", {"did": "it"})]


@pytest.mark.parametrize(
    "error", [Rejection("no", "not now"), RuntimeError("down")], ids=["refused", "fails"]
)
async def test_of_a_command_that_is_not_carried_out_no_success_is_recorded(error: Exception) -> None:
    documents = FakeDocuments()
    with pytest.raises(type(error)):
        async with recording(documents, Asked("s", "c", "a", "s"), START):
            raise error
    outcomes = {item["outcome"] for item in documents.items("audit") if item["kind"] == "entry"}
    assert outcomes == ({"refused"} if isinstance(error, Rejection) else set())


async def test_an_alert_that_is_closed_by_hand_is_on_record_with_the_note() -> None:
    api = NotificationApi()
    await open_for(api.documents, order_id="ord-1", about="money", key="d1", details={}, version=0, now=START)
    for alert in ("alert:d1", "alert:other"):
        await api.call("close_alert", {"note": "paid by hand"}, order_id="ord-1", alert_id=alert)
    assert await recorded(api.documents, "ord-1") == [
        ("notifications.close_alert", "accepted", {"alert": "alert:d1", "note": "paid by hand"}),
        ("notifications.close_alert", "refused", "alert_not_found"),
    ]


async def test_a_trail_that_grows_while_it_is_read_is_not_taken_for_one_that_was_cut_off() -> None:
    class Busy(FakeDocuments):
        """Of which another writes an entry after each read of its end."""

        async def read(self, container: str, partition: str, id: str) -> Stored:
            stored = await super().read(container, partition, id)
            if (container, id, self.busy) == ("audit", "head", True):
                self.busy = False
                await put_on_record(self, Asked("s", "c", "a", "s"), "refused", {}, START)
                self.busy = True
            return stored

        busy = False

    documents = Busy()
    for _ in range(3):
        await put_on_record(documents, Asked("s", "c", "a", "s"), "refused", {}, START)
    documents.busy = True
    (seen,) = (await read_trail(documents, "record", "s", 9, None, START))["verified"]["chains"]
    assert (seen["status"], seen["to"]) == ("valid", 4)


REFUSED_OF_ORDERS: list[tuple[str, object, dict[str, str], str]] = [
    ("put_order_address", ORDER["shipping_address"], {}, "orders.ChangeAddress"),
    ("replace_order", {"lines": ORDER["lines"]}, {"idempotency-key": "k-2"}, "orders.RequestReplacement"),
    (
        "request_return",
        {"lines": [{"line": 9, "quantity": 1, "reason": "torn"}]},
        {"idempotency-key": "k-3"},
        "orders.RequestReturn",
    ),
    ("cancel_order_request", {"reason": "late"}, {}, "orders.RequestCancel"),
]


@pytest.mark.parametrize(
    ("function", "body", "headers", "what"), REFUSED_OF_ORDERS, ids=[case[0] for case in REFUSED_OF_ORDERS]
)
async def test_whatever_is_refused_of_an_order_is_on_its_record(
    function: str, body: object, headers: dict[str, str], what: str
) -> None:
    api = Api()
    id = await completed(api)
    refused = await api.call(function, body, route={"order_id": id}, headers=headers)
    assert refused.status_code in {400, 409, 422}
    assert [entry[:2] for entry in await recorded(api.documents, id)] == [(what, "refused")]


async def test_steps_of_a_return_that_come_too_late_are_on_the_record_of_its_order() -> None:
    api = Api()
    id = await completed(api)
    for step in ("approve_return", "receive_return"):
        refused = await api.call(step, route={"return_id": f"{id}-r1"})
        assert refused.status_code in {404, 409}
    assert [entry[:2] for entry in await recorded(api.documents, id)] == [
        ("orders.ApproveReturn", "refused"),
        ("orders.ReceiveReturn", "refused"),
    ]


async def test_an_import_is_on_record_once_and_another_file_under_its_key_as_refused() -> None:
    api = Api()
    headers = {"content-type": "text/csv", "idempotency-key": "monday"}
    for content_ in (b"sku,quantity\nA,7\n", b"sku,quantity\nA,7\n", b"sku,quantity\nA,8\n"):
        answer = await api.call("import_inventory", content_, headers=headers)
        assert answer.status_code in {200, 202, 422}
    (import_,) = {item["import_id"] for item in api.documents.items("stock-imports")}
    accepted, refused = await recorded(api.documents, import_)
    assert accepted[:2] == ("inventory.import", "accepted")
    assert accepted[2]["rows"] == 1
    assert refused == ("inventory.import", "refused", "idempotency_key_reused")
