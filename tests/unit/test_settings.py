"""A wrong setting is refused by name, before anything starts."""

import pytest

from core.outside_limits import OutsideLimits
from core.settings import InvalidSetting, Settings, read_settings


def test_without_any_setting_the_defaults_hold():
    assert read_settings({}) == Settings()
    assert Settings().gateway.timeout_s < Settings().step_timeout_s


def test_an_empty_setting_has_its_default():
    assert read_settings({"ORDERFLOW_STEP_ATTEMPTS": "", "ORDERFLOW_IDLE_SECONDS": " "}) == Settings()


def test_every_setting_is_read():
    assert read_settings(
        {
            "ORDERFLOW_ADAPTERS": "azure",
            "ORDERFLOW_PAYMENT_GATEWAY": "stripe",
            "ORDERFLOW_STEP_TIMEOUT_SECONDS": "1.5",
            "ORDERFLOW_STEP_ATTEMPTS": "2",
            "ORDERFLOW_PAYMENT_ACTION_SECONDS": "604800",
            "ORDERFLOW_UNDO_ATTEMPTS": "4",
            "ORDERFLOW_ATTENTION_INTERVAL_SECONDS": "7",
            "ORDERFLOW_IDLE_SECONDS": "8",
            "ORDERFLOW_GATEWAY_TIMEOUT_SECONDS": "9",
            "ORDERFLOW_HOLD_MARGIN_SECONDS": "10",
            "ORDERFLOW_LOG_LEVEL": "WARNING",
        }
    ) == Settings(
        adapters="azure",
        payment_gateway="stripe",
        step_timeout_s=1.5,
        step_attempts=2,
        payment_action_s=604800,
        undo_attempts=4,
        attention_interval_s=7,
        idle_s=8,
        gateway=OutsideLimits(timeout_s=9),
        hold_margin_s=10,
        log_level="WARNING",
    )


@pytest.mark.parametrize("text", ["0", "-1", "abc", "nan", "inf", "1e99", "31622401", "1,5"])
def test_a_duration_that_is_none_is_refused_by_name(text):
    with pytest.raises(InvalidSetting, match=r"^ORDERFLOW_IDLE_SECONDS: must be a number of seconds above 0"):
        read_settings({"ORDERFLOW_IDLE_SECONDS": text})


def test_a_payment_is_not_waited_for_longer_than_a_week():
    with pytest.raises(
        InvalidSetting, match=r"^ORDERFLOW_PAYMENT_ACTION_SECONDS: .* at most a week, not '604801'"
    ):
        read_settings({"ORDERFLOW_PAYMENT_ACTION_SECONDS": "604801"})


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "abc", "101", "²", "9" * 5000])
def test_a_count_that_is_none_is_refused_by_name(text):
    with pytest.raises(InvalidSetting, match=r"^ORDERFLOW_STEP_ATTEMPTS: must be a whole number"):
        read_settings({"ORDERFLOW_STEP_ATTEMPTS": text})


@pytest.mark.parametrize("name", ["ORDERFLOW_ADAPTERS", "ORDERFLOW_LOG_LEVEL"])
def test_an_unknown_choice_is_refused_with_the_known_ones(name):
    with pytest.raises(InvalidSetting, match=rf"^{name}: must be one of .*, not 'nonsense'"):
        read_settings({name: "nonsense"})


def test_the_shops_address_is_read_in_five_parts():
    found = read_settings({"ORDERFLOW_SHOP_ADDRESS": "Tea Ltd; 2 High Street; Leeds ; LS1 1AA; GB"})
    assert found.shop_address == ("Tea Ltd", "2 High Street", "Leeds", "LS1 1AA", "GB")


@pytest.mark.parametrize("text", ["Tea Ltd", "a;b;c;d;", "a;b;c;d;gb", "a;b;c;d;GBR", "a;b;c;d;GB;f"])
def test_an_address_that_is_none_is_refused_by_name(text):
    with pytest.raises(InvalidSetting, match=r"^ORDERFLOW_SHOP_ADDRESS: "):
        read_settings({"ORDERFLOW_SHOP_ADDRESS": text})
