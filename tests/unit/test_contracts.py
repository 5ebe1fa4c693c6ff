"""What arrives is validated, and an error names field and rule."""

from dataclasses import dataclass, make_dataclass

import pytest

import services.orders.events
import services.payments.messages as payments
import services.shipping.messages as shipping
from core.contracts import (
    Id,
    InvalidContract,
    UnknownContract,
    contract,
    contract_name,
    contract_version,
    contracts,
    decode,
    encode,
)
from services.inventory.messages import Reserve, ReserveLine
from tests.fakes import START

CHARGE = {
    "order_id": "ord-1",
    "customer_id": "cust-1",
    "amount": 4200,
    "currency": "GBP",
    "payment_method": "tok_ok",
}


def test_an_instance_is_the_same_after_its_way_through_json():
    reserve = Reserve("ord-1", (ReserveLine("A", 2), ReserveLine("B", 1)), START)
    encoded = encode(reserve)
    assert encoded["lines"] == [{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 1}]
    assert decode("inventory.reserve", encoded) == reserve


def test_every_registered_class_has_a_name_of_two_parts_in_lower_case():
    assert services.orders.events  # registers the orders' events
    for (name, version), cls in contracts().items():
        service, _, rest = name.partition(".")
        assert service.islower()
        assert rest == rest.lower() != ""
        assert version >= 1
        assert (contract_name(cls), contract_version(cls)) == (name, version)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": -5}, "amount"),
        ({"amount": 2**53}, "amount"),
        ({"amount": 1e30}, "amount"),
        ({"amount": 4200.5}, "amount"),
        ({"amount": "much"}, "amount"),
        ({"amount": None}, "amount"),
        ({"currency": "pounds"}, "currency"),
        ({"order_id": ""}, "order_id"),
        ({"order_id": "a/b"}, "order_id"),
        ({"order_id": "a#b"}, "order_id"),
        ({"order_id": "a\nb"}, "order_id"),
        ({"order_id": "a\n"}, "order_id"),
        ({"order_id": "x" * 201}, "order_id"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_field_is_refused_by_name(change, named):
    with pytest.raises(InvalidContract, match=f"^payments.charge: {named}: "):
        decode("payments.charge", CHARGE | change)


def test_a_missing_field_is_refused_by_name():
    with pytest.raises(InvalidContract, match=r"payments.charge: currency: Field required"):
        decode("payments.charge", {key: value for key, value in CHARGE.items() if key != "currency"})


def test_a_wrong_field_of_a_nested_object_is_refused_by_its_path():
    address = {"name": "Ada", "street": "1 Main Street", "city": "London", "country": "GB"}
    data = {"order_id": "ord-1", "address": address, "delivery": "standard", "pieces": 1}
    with pytest.raises(InvalidContract, match=r"shipping.create: address.postal_code: Field required"):
        decode("shipping.create", data)


@pytest.mark.parametrize("data", [None, [], "text", 7])
def test_data_that_is_no_object_is_refused(data):
    with pytest.raises(InvalidContract, match=r"payments.charge: data: "):
        decode("payments.charge", data)


@pytest.mark.parametrize(("name", "version"), [("payments.steal", 1), ("payments.charge", 2)])
def test_an_unknown_type_or_version_is_refused(name, version):
    with pytest.raises(UnknownContract, match=f"unknown type '{name}' version {version}"):
        decode(name, CHARGE, version)


def test_the_value_of_a_refused_field_is_not_repeated_in_the_error():
    with pytest.raises(InvalidContract) as refused:
        decode("payments.charge", CHARGE | {"payment_method": ["4111111111111111"]})
    assert "4111" not in str(refused.value)


def test_a_name_is_registered_once():
    frozen = dataclass(frozen=True)(make_dataclass("Again", ["order_id"]))
    with pytest.raises(TypeError, match=r"payments.charge version 1 is registered twice"):
        contract("payments.charge")(frozen)


def test_only_a_frozen_dataclass_can_be_registered():
    with pytest.raises(TypeError, match="must be a frozen dataclass"):
        contract("payments.mutable")(make_dataclass("Mutable", ["order_id"]))


def test_each_command_of_a_service_with_an_outside_world_has_a_safe_order_id():
    for cls in (payments.Charge, payments.Refund, shipping.CreateShipment, shipping.CancelShipment):
        assert cls.__annotations__["order_id"] is Id
