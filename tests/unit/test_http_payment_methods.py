"""The cards that customers keep on file."""

from dataclasses import replace

import orjson
import pytest

from core.outside_call import OutsideUnavailable
from emulator.simulation import run_simulated
from services.payments.handlers import handle_command
from services.payments.messages import Charge
from services.payments.methods import MOST
from tests.payments_support import AMOUNT, ORDER, command
from tests.unit.http_support import Api, broken_rules, content

CUSTOMER = {"customer_id": "cust-1"}


async def add(api: Api, token: str, **fields: object):
    return await api.call("add_payment_method", {"token": token, **fields}, route=CUSTOMER)


async def added(api: Api, token: str, **fields: object) -> str:
    response = await add(api, token, **fields)
    assert response.status_code == 201, response.get_body()
    return content(response)["id"]


async def listed(api: Api) -> list[tuple[str, bool, str]]:
    body = content(await api.call("list_payment_methods", route=CUSTOMER))
    return [(one["id"], one["default"], one["status"]) for one in body["payment_methods"]]


async def of(api: Api, function: str, id: str):
    return await api.call(function, route=CUSTOMER | {"method_id": id})


async def test_a_method_shows_brand_last_four_and_expiry_and_never_the_token():
    api = Api()
    response = await add(api, "tok_amex")
    assert response.status_code == 201
    shown = content(response)
    assert shown == {
        "id": shown["id"],
        "brand": "amex",
        "last_four": "0005",
        "expiry_month": 12,
        "expiry_year": 2040,
        "default": True,
        "status": "active",
        "added_at": "2027-01-15T08:00:00+00:00",
    }
    assert shown["id"].startswith("card-")
    assert b"tok_amex" not in response.get_body()
    assert await listed(api) == [(shown["id"], True, "active")]
    assert await listed(Api()) == []


async def test_the_same_token_is_the_same_method():
    api = Api()
    first = await added(api, "tok_visa")
    again = await add(api, "tok_visa")
    assert (again.status_code, content(again)["id"]) == (200, first)
    assert len(await listed(api)) == 1


async def test_one_method_is_the_default_the_first_or_the_one_that_was_chosen():
    api = Api()
    ids = [await added(api, token) for token in ("tok_visa", "tok_amex")]
    assert await listed(api) == [(ids[0], True, "active"), (ids[1], False, "active")]
    assert content(await of(api, "set_default_payment_method", ids[1]))["default"]
    assert await listed(api) == [(ids[0], False, "active"), (ids[1], True, "active")]
    third = await added(api, "tok_mastercard", default=True)
    assert [(id, default) for id, default, _ in await listed(api) if default] == [(third, True)]


@pytest.mark.parametrize("function", ["expire_payment_method", "remove_payment_method"])
async def test_when_the_default_goes_the_oldest_good_one_takes_its_place(function):
    api = Api()
    ids = [await added(api, token) for token in ("tok_visa", "tok_amex", "tok_mastercard")]
    await of(api, "expire_payment_method", ids[1])
    assert (await of(api, function, ids[0])).status_code in (200, 204)
    assert [id for id, default, _ in await listed(api) if default] == [ids[2]]


async def test_a_removed_method_is_gone_and_removing_it_again_changes_nothing():
    api = Api()
    id = await added(api, "tok_visa")
    for _ in range(2):
        assert (await of(api, "remove_payment_method", id)).status_code == 204
    assert await listed(api) == []
    assert "tok_visa" not in repr(api.documents.items("payment-methods"))


def test_a_method_that_the_gateway_cannot_forget_now_is_still_there_and_removed_later():
    async def scenario() -> None:
        api = Api()
        id = await added(api, "tok_visa")
        forgotten = []

        async def down(reference: str) -> None:
            raise OutsideUnavailable("down")

        async def forget(reference: str) -> None:
            forgotten.append(reference)

        api.gateway.forget = down
        assert (await of(api, "remove_payment_method", id)).status_code == 503
        assert await listed(api) == [(id, True, "active")]
        api.gateway.forget = forget
        for _ in range(2):
            assert (await of(api, "remove_payment_method", id)).status_code == 204
        assert await listed(api) == []
        assert forgotten == ["tok_visa"]

    run_simulated(scenario())


@pytest.mark.parametrize(
    ("token", "detail"),
    [
        ("tok_unknown", "token: the payment gateway knows no card by it"),
        ("tok_expired", "the card has expired"),
        ("tok_expires_122026", "the card has expired"),
    ],
)
async def test_a_token_without_a_good_card_is_refused(token, detail):
    api = Api()
    response = await add(api, token)
    assert (response.status_code, content(response)["detail"]) == (422, detail)
    assert await listed(api) == []


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"token": "4242424242424242"}, 422, "token"),
        ({"token": "a b"}, 400, "token"),
        ({}, 400, "token"),
        ({"token": "tok_visa", "number": "x"}, 400, "number"),
    ],
)
async def test_what_is_no_token_is_refused_by_field(body, status, field):
    response = await Api().call("add_payment_method", body, route=CUSTOMER)
    assert (response.status_code, list(broken_rules(response))) == (status, [field])


async def test_a_card_is_good_until_its_month_ends():
    api = Api()
    id = await added(api, "tok_expires_012027")
    api.clock.advance(16 * 86400 + 57599)
    assert await listed(api) == [(id, True, "active")]
    api.clock.advance(1)
    assert await listed(api) == [(id, True, "expired")]
    assert (await of(api, "set_default_payment_method", id)).status_code == 422


@pytest.mark.parametrize("function", ["set_default_payment_method", "expire_payment_method"])
async def test_a_method_of_another_customer_is_not_found(function):
    api = Api()
    id = await added(api, "tok_visa")
    response = await api.call(function, route={"customer_id": "cust-2", "method_id": id})
    assert response.status_code == 404


async def test_a_customer_has_so_many_methods_at_most():
    api = Api()
    for number in range(MOST):
        await added(api, f"tok_{number}")
    response = await add(api, "tok_one_more")
    assert response.status_code == 409
    assert len(await listed(api)) == MOST


async def test_two_who_change_the_methods_at_once_both_succeed():
    api = Api()
    first = await added(api, "tok_visa")
    overtaken = False

    async def overtake(request: str) -> None:
        nonlocal overtaken
        if request == "replace payment-methods" and not overtaken:
            overtaken = True
            await added(api, "tok_amex")

    api.documents.before = overtake
    second = await added(api, "tok_mastercard")
    assert {id for id, _, _ in await listed(api)} >= {first, second}
    assert len(await listed(api)) == 3


async def charge(api: Api, method: str, gateway) -> dict[str, object]:
    """The answer to the charge of an order that names `method`."""
    told = replace(command("charge"), data=Charge(ORDER, "cust-1", AMOUNT, "GBP", method))
    await handle_command(api.documents, api.bus, gateway, api.clock, 10.0, told)
    return orjson.loads(api.bus.sent["order-replies"][-1].body)


@pytest.mark.parametrize("named", ["id", "default"])
async def test_an_order_may_name_a_method_on_file_or_the_default(named):
    api = Api()
    id = await added(api, "tok_declined")
    reply = await charge(api, id if named == "id" else "default", api.gateway)
    assert (reply["type"], reply["data"]["reason"]) == ("payments.declined", "card_declined")


@pytest.mark.parametrize(
    ("method", "reason"),
    [("card-none", "payment_method_not_found"), ("default", "payment_method_not_found")],
)
async def test_a_charge_by_a_method_that_is_not_there_is_declined_without_asking_the_gateway(method, reason):
    api = Api()
    reply = await charge(api, method, api.gateway)
    assert (reply["type"], reply["data"]["reason"]) == ("payments.declined", reason)
    assert api.documents.items("sandbox") == []


async def test_a_charge_by_an_expired_method_is_declined_without_asking_the_gateway():
    api = Api()
    id = await added(api, "tok_visa")
    await of(api, "expire_payment_method", id)
    reply = await charge(api, id, api.gateway)
    assert (reply["type"], reply["data"]["reason"]) == ("payments.declined", "payment_method_expired")
    assert api.documents.items("sandbox") == []


async def test_a_charge_by_a_token_reads_no_methods():
    api = Api()
    await charge(api, "tok_ok", api.gateway)
    assert "read payment-methods" not in api.documents.requests
