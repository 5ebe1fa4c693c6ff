"""Templates: which are taken, which is chosen, what becomes of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.notifications import builtin
from services.notifications.channels import CHANNELS
from services.notifications.kinds import KINDS
from services.notifications.rendering import (
    CannotRender,
    Template,
    faults,
    is_locale,
    locales_of,
    render,
)
from services.notifications.templates import (
    TemplateRefused,
    UnknownTemplate,
    choose,
    read_version,
    save,
    withdraw,
)
from tests.fakes import START, FakeDocuments

KIND = "order_shipped"


def rules(source, part="text", channel="sms"):
    sources = {"text": "x", "title": "x" if channel != "sms" else ""} | {part: source}
    return [(fault.part, fault.rule) for fault in faults(KIND, channel, Template(**sources))]


def rendered(source, parameters, locale="en", part="text"):
    sources = {"text": "x", "title": "x"} | {part: source}
    return getattr(render("email", Template(**sources), parameters, locale=locale, unsubscribe_url=""), part)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channel", CHANNELS)
def test_every_kind_has_a_template_of_the_app_for_every_channel(kind, channel):
    languages = ("en", "de") if KINDS[kind].audience == "customer" else ("en",)
    for language in languages:
        template = builtin.BUILT_IN[kind, channel, language]
        assert faults(kind, channel, template) == []


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("{{ order_idd }}", "unknown variable 'order_idd'"),
        ("a\n{{ order_id", "line 2: unexpected end of template"),
        ("{% if order_id %}", "line 1: Unexpected end of template"),
        ("\n\n{{ order_id|reverse }}", "line 3: there is no filter 'reverse'"),
        ("{{ order_id|join(order_id) }}", "there is no filter 'join'"),
        ("{% for i in range(9) %}{% endfor %}", "line 1: a loop must be over a parameter"),
        (
            "{% for i in order_id %}{% for j in order_id %}{% endfor %}{% endfor %}",
            "and in no other loop",
        ),
        ("{{ 'a' * 10**9 }}", "line 1: Mul is not allowed"),
        ("{{ order_id.upper() }}", "line 1: Call is not allowed"),
        ("{{ order_id['x'] }}", "line 1: Getitem is not allowed"),
        ("{% macro m() %}{% endmacro %}", "line 1: Macro is not allowed"),
        ("{% include 'x' %}", "line 1: Include is not allowed"),
        ("{% set x = 1 %}", "line 1: Assign is not allowed"),
        ("{{ order_id.__class__ }}", "with sample data: access to attribute '__class__'"),
        ("{{ order_id.nothing }}", "with sample data: 'str object' has no attribute 'nothing'"),
        ("{{ order_id|money('EUR') }}", "with sample data: money: must be an amount"),
        ("{% if order_id %}" * 100 + "{% endif %}" * 100, "is nested too deeply"),
        ("{{ order_id" + "|e" * 4000 + " }}", "is nested too deeply"),
        ("x" * 10_001, "must be at most 10000 characters"),
        ("x" * 2000, "with sample data: an SMS has at most 1600"),
        (" ", "must not be empty"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_its_line(source, rule):
    part, found = rules(source)[0]
    assert part == "text"
    assert rule in found


def test_a_part_that_the_channel_has_not_is_refused_and_html_may_be_missing():
    assert rules("<p>x</p>", "html") == [("html", "is not part of a template for sms")]
    assert rules("", "html", "email") == []
    assert rules("", "title", "push") == [("title", "must not be empty")]


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("{}%| abcfoindert_.()[]'\"*+-/~=#\n1"), max_size=60))
def test_any_text_is_taken_or_refused(source):
    for part, channel in (("text", "sms"), ("html", "email")):
        if not rules(source, part, channel) and source.strip():
            render("email", Template("x", "x", source), KINDS[KIND].sample, locale="en", unsubscribe_url="")


def test_html_is_escaped_and_a_title_is_one_line():
    parameters = {"name": "<b>\nBcc: x"}
    assert rendered("<p>{{ name }}</p>", parameters, part="html") == "<p>&lt;b&gt;\nBcc: x</p>"
    assert rendered("Hi {{ name }}", parameters, part="title") == "Hi <b> Bcc: x"
    assert rendered("{{ name }}", parameters) == "<b>\nBcc: x"


@pytest.mark.parametrize(
    ("amount", "currency", "locale", "wanted"),
    [
        (4990, "EUR", "de", "49,90\xa0€"),
        (4990, "EUR", "de-AT", "€\xa049,90"),
        (4990, "GBP", "en-GB", "£49.90"),
        (4990, "JPY", "en", "¥4,990"),
        (4990, "KWD", "en", "KWD4.990"),
        (-5, "USD", "en", "-$0.05"),
        (2**53 - 1, "USD", "en", "$90,071,992,547,409.91"),
    ],
)
def test_money_is_written_from_minor_units_as_in_the_locale(amount, currency, locale, wanted):
    parameters = {"amount": amount, "currency": currency}
    assert rendered("{{ amount|money(currency) }}", parameters, locale) == wanted


def test_what_becomes_too_long_is_given_up():
    with pytest.raises(CannotRender, match="text: becomes longer than 20000 characters"):
        rendered("{% for c in order_id %}" + "x" * 5000 + "{% endfor %}", {"order_id": "abcdef"})


def test_a_missing_parameter_is_an_error_and_no_empty_text():
    with pytest.raises(CannotRender, match="text: 'order_id' is undefined"):
        rendered("{{ order_id }}", {})


def test_locales_fall_back_to_the_language_and_to_english():
    assert list(locales_of("de-AT")) == ["de-AT", "de", "en"]
    assert list(locales_of("zh-Hant-TW")) == ["zh-Hant-TW", "zh-Hant", "zh", "en"]
    assert list(locales_of("en-GB")) == ["en-GB", "en"]


def test_a_locale_is_one_that_is_known_and_written_as_usual():
    assert all(map(is_locale, ("en", "de-AT", "zh-Hant-TW")))
    assert not any(map(is_locale, ("", "xx", "de_AT", "DE", "de-at", "de-AT-1901", "e" * 999)))


async def test_a_saved_template_goes_before_that_of_the_app_in_each_locale():
    documents = FakeDocuments()

    async def name(locale):
        return (await choose(documents, KIND, "sms", locale)).name

    assert await name("de-AT") == "order_shipped/sms/de:0"
    assert await name("fr") == "order_shipped/sms/en:0"
    await save(documents, KIND, "sms", "en", Template("one"), START)
    assert await name("de-AT") == "order_shipped/sms/de:0"
    assert await name("fr") == "order_shipped/sms/en:1"
    await save(documents, KIND, "sms", "de-AT", Template("eins"), START)
    assert await name("de-AT") == "order_shipped/sms/de-AT:1"
    assert await name("de-CH") == "order_shipped/sms/de:0"


async def test_every_version_can_be_read_and_the_same_again_is_none():
    documents = FakeDocuments()
    for text, version in (("one", 1), ("one", 1), ("two", 2), ("one", 3)):
        assert (await save(documents, KIND, "sms", "en", Template(text), START)).version == version
    texts = [
        (await read_version(documents, KIND, "sms", "en", version)).template.text for version in (1, 2, 3)
    ]
    assert texts == ["one", "two", "one"]
    for locale, version in (("en", 4), ("fr", 0)):
        with pytest.raises(UnknownTemplate):
            await read_version(documents, KIND, "sms", locale, version)


async def test_a_withdrawn_template_gives_way_and_the_next_has_a_version_of_its_own():
    documents = FakeDocuments()
    await save(documents, KIND, "sms", "en", Template("one"), START)
    await withdraw(documents, KIND, "sms", "en")
    assert (await choose(documents, KIND, "sms", "en")).version == 0
    with pytest.raises(UnknownTemplate):
        await withdraw(documents, KIND, "sms", "en")
    assert (await save(documents, KIND, "sms", "en", Template("one"), START)).version == 2


async def test_two_who_save_at_once_make_two_versions():
    documents = FakeDocuments()

    async def meanwhile(request):
        if request == "batch notification-templates":
            documents.before = _free
            await save(documents, KIND, "sms", "en", Template("two"), START)

    documents.before = meanwhile
    assert (await save(documents, KIND, "sms", "en", Template("one"), START)).version == 2
    assert (await read_version(documents, KIND, "sms", "en", 1)).template.text == "two"


async def test_a_refused_template_is_not_saved():
    documents = FakeDocuments()
    with pytest.raises(TemplateRefused, match="text: unknown variable 'x'"):
        await save(documents, KIND, "sms", "en", Template("{{ x }}"), START)
    assert documents.requests == []


async def _free(request):
    return
