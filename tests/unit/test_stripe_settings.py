"""A wrong setting of Stripe is refused by name, and no secret is repeated."""

import subprocess
import sys
from pathlib import Path

import pytest

from adapters.stripe.connect import connect
from adapters.stripe.settings import StripeSettings, read_stripe_settings
from core.settings import InvalidSetting

GOOD = {"STRIPE_API_KEY": "sk_test_1", "STRIPE_WEBHOOK_SECRET": " whsec_2 "}


def test_the_secrets_are_read_and_not_shown():
    settings = read_stripe_settings(GOOD | {"STRIPE_RETURN_URL": "https://shop.example/paid"})
    assert settings == StripeSettings("sk_test_1", "whsec_2", "https://shop.example/paid")
    assert "sk_test_1" not in repr(settings)
    assert "whsec_2" not in repr(settings)


def test_they_make_the_gateway_and_its_webhooks():
    _, webhooks = connect(read_stripe_settings(GOOD), 10.0)
    assert (webhooks.provider, webhooks.secret) == ("stripe", "whsec_2")


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"STRIPE_API_KEY": ""}, "STRIPE_API_KEY: must begin with sk_ or rk_"),
        ({"STRIPE_API_KEY": "pk_test_secret"}, "STRIPE_API_KEY: must begin with sk_ or rk_"),
        ({"STRIPE_WEBHOOK_SECRET": "secret"}, "STRIPE_WEBHOOK_SECRET: must begin with whsec_"),
        ({"STRIPE_RETURN_URL": "http://shop.example"}, "STRIPE_RETURN_URL: must be an https URL"),
        ({"STRIPE_RETURN_URL": "paid"}, "STRIPE_RETURN_URL: must be an https URL"),
    ],
)
def test_a_wrong_one_is_named(changes, rule):
    with pytest.raises(InvalidSetting) as raised:
        read_stripe_settings(GOOD | changes)
    assert str(raised.value) == rule


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"STRIPE_WEBHOOK_SECRET": ""}, "STRIPE_WEBHOOK_SECRET: must begin with whsec_"),
        (
            {"ORDERFLOW_PAYMENT_GATEWAY": "paypal"},
            "ORDERFLOW_PAYMENT_GATEWAY: must be one of sandbox, stripe",
        ),
    ],
)
def test_the_app_starts_with_stripe_or_says_what_is_wrong(changes, said):
    run = subprocess.run(
        [
            sys.executable,
            "-c",
            "from function_app import outside; print(type(outside.gateway._gateway).__name__)",
        ],
        cwd=Path(__file__).parents[2],
        env={"ORDERFLOW_PAYMENT_GATEWAY": "stripe", "PATH": ""} | GOOD | changes,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said in run.stderr
    assert (run.returncode == 0, "StripeGateway" in run.stdout) == (not said, not said)
    assert "sk_test_1" not in run.stdout + run.stderr
