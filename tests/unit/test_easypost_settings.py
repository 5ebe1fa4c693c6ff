"""Wrong settings of EasyPost stop the app, by name, and never with the secret."""

import subprocess
import sys
from pathlib import Path

import pytest

from adapters.easypost.customs import Customs
from adapters.easypost.settings import EasyPostSettings, read_easypost_settings
from core.settings import InvalidSetting, read_settings

GIVEN = {"EASYPOST_API_KEY": "EZTKabc123", "EASYPOST_WEBHOOK_SECRET": "0123456789abcdef"}


def test_the_settings_are_read():
    assert read_easypost_settings(GIVEN) == EasyPostSettings("EZTKabc123", "0123456789abcdef", 16.0)
    heavy = GIVEN | {"EASYPOST_OUNCES_PER_PIECE": "2.5"}
    assert read_easypost_settings(heavy).ounces_per_piece == 2.5


FORM = {"EASYPOST_CUSTOMS_SIGNER": "Grace Hopper", "EASYPOST_CUSTOMS_DESCRIPTION": "Teapots of porcelain"}


def test_what_customs_are_told_is_read_and_may_be_left_out():
    assert read_easypost_settings(GIVEN).customs is None
    assert read_easypost_settings(GIVEN | FORM).customs == Customs("Grace Hopper", "Teapots of porcelain")
    more = {"EASYPOST_CUSTOMS_ORIGIN": "DE", "EASYPOST_CUSTOMS_TARIFF": "6911.10"}
    assert read_easypost_settings(GIVEN | FORM | more).customs == Customs(
        "Grace Hopper", "Teapots of porcelain", "DE", "691110"
    )


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"EASYPOST_CUSTOMS_SIGNER": ""}, "EASYPOST_CUSTOMS_SIGNER"),
        ({"EASYPOST_CUSTOMS_DESCRIPTION": ""}, "EASYPOST_CUSTOMS_DESCRIPTION"),
        ({"EASYPOST_CUSTOMS_DESCRIPTION": "x" * 101}, "EASYPOST_CUSTOMS_DESCRIPTION"),
        ({"EASYPOST_CUSTOMS_ORIGIN": "Germany"}, "EASYPOST_CUSTOMS_ORIGIN"),
        ({"EASYPOST_CUSTOMS_TARIFF": "69"}, "EASYPOST_CUSTOMS_TARIFF"),
        ({"EASYPOST_CUSTOMS_TARIFF": "tea pots"}, "EASYPOST_CUSTOMS_TARIFF"),
        (dict.fromkeys(FORM, "") | {"EASYPOST_CUSTOMS_ORIGIN": "DE"}, "EASYPOST_CUSTOMS_ORIGIN"),
    ],
)
def test_a_half_or_wrong_form_is_refused_by_name(changes, name):
    with pytest.raises(InvalidSetting, match=f"^{name}: "):
        read_easypost_settings(GIVEN | FORM | changes)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("EASYPOST_API_KEY", ""),
        ("EASYPOST_API_KEY", "sk_test_x"),
        ("EASYPOST_API_KEY", "EZ"),
        ("EASYPOST_API_KEY", "EZTK abc"),
        ("EASYPOST_WEBHOOK_SECRET", ""),
        ("EASYPOST_WEBHOOK_SECRET", "short"),
        ("EASYPOST_WEBHOOK_SECRET", "0123456789abcdeü"),
        ("EASYPOST_OUNCES_PER_PIECE", "0"),
        ("EASYPOST_OUNCES_PER_PIECE", "nan"),
        ("EASYPOST_OUNCES_PER_PIECE", "heavy"),
    ],
)
def test_a_wrong_one_is_refused_by_name_and_a_secret_is_not_repeated(name, text):
    with pytest.raises(InvalidSetting, match=f"^{name}: ") as refused:
        read_easypost_settings(GIVEN | {name: text})
    if text and name != "EASYPOST_OUNCES_PER_PIECE" and text != "EZ":
        assert text not in str(refused.value)


def test_no_secret_is_in_the_text_of_the_settings():
    text = repr(read_easypost_settings(GIVEN))
    assert not any(secret in text for secret in GIVEN.values())


def test_carriers_are_named_with_commas():
    assert read_settings({}).carriers == {"sandbox"}
    both = read_settings({"ORDERFLOW_CARRIERS": "easypost, sandbox"})
    assert both.carriers == {"easypost", "sandbox"}


@pytest.mark.parametrize("text", ["nobody", "sandbox,", ",", "sandbox;easypost"])
def test_an_unknown_carrier_is_refused_with_the_known_ones(text):
    with pytest.raises(InvalidSetting, match=r"^ORDERFLOW_CARRIERS: must be of easypost, sandbox"):
        read_settings({"ORDERFLOW_CARRIERS": text})


def composed(**environment: str) -> subprocess.CompletedProcess[str]:
    """The app, in a process of its own: an app can be imported once."""
    code = (
        "from function_app import outside as o; print(*sorted(o.carriers.by_name), len(o.shipping_webhooks))"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        env={"PATH": "", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_app_starts_with_the_carriers_that_the_settings_name():
    run = composed(ORDERFLOW_CARRIERS="easypost,sandbox", **GIVEN)
    assert (run.stdout, run.returncode) == ("easypost sandbox-express sandbox-post 2\n", 0), run.stderr


def test_the_app_does_not_start_with_easypost_and_no_key():
    run = composed(ORDERFLOW_CARRIERS="easypost")
    assert run.returncode != 0
    assert "EASYPOST_API_KEY: must be letters and digits that begin with EZ" in run.stderr
