import base64
from datetime import timedelta

import orjson
import pytest

from services.notifications import profile, unsubscribing
from services.notifications.unsubscribing import LIFETIME, Link
from tests.notification_support import ADA, with_profile
from tests.unit.http_support import broken_rules, content
from tests.unit.notification_http import NotificationApi

BODY = {
    "locale": "de-AT",
    "time_zone": "Europe/Vienna",
    "email": "ada@example.com",
    "phone": "+436601234567",
    "push": [
        {
            "endpoint": "https://fcm.googleapis.com/fcm/send/abc",
            "expirationTime": None,
            "keys": {"p256dh": "B" * 87, "auth": "A" * 22},
        }
    ],
    "quiet_hours": {"start": "22:00", "end": "07:00"},
    "channels": {"sms": {"order_shipped": "off", "order_cancelled": "fallback"}},
}


@pytest.fixture
def api():
    return NotificationApi()


async def put(api, body, **headers):
    return await api.call("put_notification_preferences", body, customer_id="ada", headers=headers)


async def get(api):
    return await api.call("get_notification_preferences", customer_id="ada")


def link_of(api, kind="order_shipped", channel="email"):
    return unsubscribing.token(Link("ada", channel, kind), api.to.unsubscribe_key, api.clock.now())


async def test_what_was_put_is_what_is_got_with_every_switch(api):
    assert (await get(api)).status_code == 404
    answered = await put(api, BODY)
    assert answered.status_code == 200

    read = await get(api)
    found = content(read)
    assert found["channels"]["sms"]["order_shipped"] == "off"
    assert found["channels"]["email"] == dict.fromkeys(found["channels"]["email"], "on")
    assert {field: found[field] for field in ("locale", "time_zone", "email", "phone", "quiet_hours")} == {
        field: BODY[field] for field in ("locale", "time_zone", "email", "phone", "quiet_hours")
    }
    assert read.headers["ETag"] == answered.headers["ETag"]
    del found["customer_id"]
    assert (await put(api, found)).status_code == 200
    [item] = api.documents.items("notification-preferences")
    assert item["switches"] == {"email": {}, "sms": {"order_shipped": "off"}, "push": {}}


async def test_a_change_of_somebody_else_is_not_overwritten(api):
    first = (await put(api, BODY)).headers["ETag"]
    assert (await put(api, BODY, **{"If-Match": first})).status_code == 200
    refused = await put(api, BODY | {"email": None}, **{"If-Match": first})
    assert refused.status_code == 412
    assert content(await get(api))["email"] == "ada@example.com"
    api = NotificationApi()
    assert (await put(api, BODY, **{"If-Match": first})).status_code == 412


@pytest.mark.parametrize(
    ("change", "field", "rule"),
    [
        ({"locale": "xx-YY"}, "locale", "must be a language tag"),
        ({"time_zone": "Vienna"}, "time_zone", "must be the IANA name"),
        ({"email": "ada"}, "email", "must be an e-mail address"),
        ({"phone": "0660"}, "phone", "must be a telephone number"),
        ({"quiet_hours": {"start": "22:00", "end": "22:00"}}, "quiet_hours", "must differ"),
        ({"quiet_hours": {"start": "24:00", "end": "07:00"}}, "quiet_hours.start", "pattern"),
        ({"channels": {"email": {"order_cancelled": "off"}}}, "channels", "cannot be switched off"),
        ({"channels": {"email": {"order_needs_attention": "off"}}}, "channels", "there is no kind"),
        ({"channels": {"fax": {}}}, "channels.fax.[key]", "'email', 'sms' or 'push'"),
        ({"push": BODY["push"] * 11}, "push", "at most 10"),
        (
            {"push": [{**BODY["push"][0], "endpoint": "https://10.0.0.1/x"}]},
            "push.0.endpoint",
            "must be an https URL of a push service",
        ),
        ({"surname": "L"}, "surname", "not permitted"),
    ],
)
async def test_what_breaks_a_rule_is_named_and_changes_nothing(api, change, field, rule):
    answered = await put(api, BODY | change)
    assert answered.status_code == 400
    assert rule in broken_rules(answered)[field]
    assert api.documents.requests == []


async def test_an_unsubscribe_link_shows_first_and_then_switches_off(api):
    await with_profile(api.documents)
    shown = await api.call("show_unsubscribe", token=link_of(api))
    assert (shown.status_code, shown.mimetype) == (200, "text/html")
    assert b'<form method="post">' in shown.get_body()
    assert (await profile.find(api.documents, "ada"))[0] == ADA

    for _ in range(2):
        done = await api.call("unsubscribe", b"List-Unsubscribe=One-Click", token=link_of(api))
        assert done.status_code == 200
    found, _ = await profile.find(api.documents, "ada")
    assert found.switches == {"email": {"order_shipped": "off"}}


async def test_unsubscribing_meets_a_change_that_is_made_at_the_same_time(api):
    await with_profile(api.documents)

    async def meanwhile(request):
        if request == "replace notification-preferences":
            api.documents.before = _free
            await with_profile(api.documents, ADA.__replace__(locale="de"))

    api.documents.before = meanwhile
    await api.call("unsubscribe", token=link_of(api))
    found, _ = await profile.find(api.documents, "ada")
    assert (found.locale, found.switches) == ("de", {"email": {"order_shipped": "off"}})


async def test_a_link_of_a_customer_without_a_profile_does_no_harm(api):
    assert (await api.call("unsubscribe", token=link_of(api))).status_code == 200
    assert api.documents.items("notification-preferences") == []


def forged(token):
    raw = base64.urlsafe_b64decode(token + "==")
    other = orjson.dumps(["bob", *orjson.loads(raw[:-32])[1:]]) + raw[-32:]
    return base64.urlsafe_b64encode(other).decode().rstrip("=")


@pytest.mark.parametrize(
    "alter",
    [
        forged,
        lambda token: token[:-1],
        lambda token: "",
        lambda token: "%%%",
        lambda token: "A" * 50,
        lambda token: token + "A" * 2000,
    ],
)
@pytest.mark.parametrize("function", ["show_unsubscribe", "unsubscribe"])
async def test_a_link_that_is_not_ours_is_refused_and_changes_nothing(api, alter, function):
    await with_profile(api.documents)
    answered = await api.call(function, token=alter(link_of(api)))
    assert answered.status_code == 400
    assert (await profile.find(api.documents, "ada"))[0] == ADA


async def test_a_link_expires_and_is_bound_to_its_key(api):
    await with_profile(api.documents)
    other_key = unsubscribing.token(Link("ada", "email", "order_shipped"), b"x" * 32, api.clock.now())
    assert (await api.call("unsubscribe", token=other_key)).status_code == 400
    token = link_of(api)
    api.clock.advance((LIFETIME - timedelta(seconds=1)).total_seconds())
    assert (await api.call("show_unsubscribe", token=token)).status_code == 200
    api.clock.advance(1)
    expired = await api.call("unsubscribe", token=token)
    assert (expired.status_code, content(expired)["detail"]) == (400, "this unsubscribe link has expired")


async def _free(request):
    return
