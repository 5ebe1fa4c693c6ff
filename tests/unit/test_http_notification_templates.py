import pytest

from tests.unit.http_support import broken_rules, content
from tests.unit.notification_http import NotificationApi

SMS = {"kind": "order_shipped", "channel": "sms", "locale": "de-AT"}


@pytest.fixture
def api():
    return NotificationApi()


async def test_a_template_is_put_read_by_version_and_withdrawn(api):
    assert content(await api.call("get_notification_template", **SMS))["locale"] == "de"
    put = await api.call("put_notification_template", {"text": "Servus {{ order_id }}"}, **SMS)
    assert put.status_code == 200
    assert content(put) == {
        **SMS,
        "version": 1,
        "template": {"text": "Servus {{ order_id }}", "title": "", "html": ""},
    }
    assert content(await api.call("get_notification_template", **SMS)) == content(put)
    assert content(await api.call("get_notification_template", query={"version": "1"}, **SMS)) == content(put)

    gone = await api.call("withdraw_notification_template", **SMS)
    assert (content(gone)["locale"], content(gone)["version"]) == ("de", 0)
    assert (await api.call("withdraw_notification_template", **SMS)).status_code == 404
    assert (await api.call("get_notification_template", query={"version": "2"}, **SMS)).status_code == 404
    bad = await api.call("get_notification_template", query={"version": "-1"}, **SMS)
    assert "version" in broken_rules(bad)


async def test_a_template_that_breaks_a_rule_is_refused_by_part_and_line(api):
    answered = await api.call(
        "put_notification_template",
        {"text": "{{ order_idd }}", "title": "ok", "html": "<p>\n{% if %}"},
        **SMS | {"channel": "email"},
    )
    assert answered.status_code == 400
    found = broken_rules(answered)
    assert found["text"].startswith("unknown variable 'order_idd'; there are locale, order_id")
    assert found["html"].startswith("line 2: ")
    assert api.documents.items("notification-templates") == []


@pytest.mark.parametrize(
    ("change", "status"),
    [({"kind": "nothing"}, 404), ({"channel": "fax"}, 400), ({"locale": "xx"}, 400)],
)
async def test_what_is_no_template_is_refused(api, change, status):
    body = {"text": "x"}
    for function in ("get_notification_template", "put_notification_template"):
        assert (await api.call(function, body, **SMS | change)).status_code == status


async def test_a_preview_renders_without_saving(api):
    in_use = await api.call("preview_notification_template", {}, **SMS)
    assert content(in_use)["text"].startswith("Ihre Bestellung ord-")
    body = {"template": {"text": "{{ order_id }}!"}, "parameters": {"order_id": "ord-7"}}
    assert content(await api.call("preview_notification_template", body, **SMS)) == {"text": "ord-7!"}
    email = content(await api.call("preview_notification_template", {}, **SMS | {"channel": "email"}))
    assert "https://shop.example/unsubscribe" in email["html"]
    assert api.documents.items("notification-templates") == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"template": {"text": "{{ x }}"}}, "template.text"),
        ({"parameters": {"x": "y"}}, "parameters"),
        ({"parameters": {"order_id": "y" * 201}}, "parameters.order_id.constrained-str"),
        ({"template": {"text": "{{ order_id }}" * 50}, "parameters": {"order_id": "y" * 200}}, "parameters"),
    ],
)
async def test_a_preview_that_breaks_a_rule_names_it(api, body, field):
    answered = await api.call("preview_notification_template", body, **SMS)
    assert answered.status_code == 400
    assert field in broken_rules(answered)


async def test_the_kinds_are_listed_with_what_a_template_may_use(api):
    listed = content(await api.call("list_notification_kinds"))
    [shipped] = [kind for kind in listed["kinds"] if kind["kind"] == "order_shipped"]
    assert shipped["variables"] == ["locale", "order_id", "tracking_number", "unsubscribe_url"]
    assert listed["channels"]["sms"] == ["text"]
    assert "money" in listed["filters"]
