"""Attempts, retries, stand-ins and reports, on fakes."""

import asyncio
import random
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from core.contracts import InvalidContract
from services.notifications import profile
from services.notifications.channels import SendRefused, SendUnavailable
from services.notifications.handlers import handle_command
from services.notifications.messages import RecordReport
from services.notifications.profile import QuietHours
from services.notifications.reports import queue_report
from services.notifications.sending import MAX_ATTEMPTS, retry_in
from services.notifications.telling import tell
from tests.fakes import START, FakeBus, FakeClock, FakeDocuments
from tests.notification_support import (
    ADA,
    EMAIL_ONLY,
    NOTICE,
    drain,
    notifier,
    queued,
    statuses,
    with_profile,
)


class World:
    def __init__(self):
        self.clock = FakeClock()
        self.documents = FakeDocuments(self.clock)
        self.bus = FakeBus(self.clock)
        self.to = notifier(self.documents, self.bus, self.clock)
        self.channels = self.to.channels

    async def told(self, who=EMAIL_ONLY, notice=NOTICE):
        await with_profile(self.documents, who)
        await tell(self.to, notice)
        return await drain(self.to, self.bus, self.clock)

    def attempts(self, channel="email"):
        [item] = [each for each in self.documents.items("notifications") if each["id"].endswith(channel)]
        return item["attempts"]

    def report(self, outcome, reason="", provider_id="msg-1", id="rep-1"):
        return queue_report(self.to, RecordReport(id, provider_id, outcome, reason, self.clock.now()))


@pytest.fixture
def world():
    return World()


def refuse(reason, gone=()):
    def outcome(message):
        raise SendRefused(reason, gone)

    return outcome


def unavailable(times, reason="451 later", retry_after_s=0.0):
    left = times

    def outcome(message):
        nonlocal left
        left -= 1
        if left >= 0:
            raise SendUnavailable(reason, retry_after_s)

    return outcome


async def test_what_is_sent_is_kept_with_its_template_provider_and_times(world):
    await world.told()

    [message] = world.channels["email"].sent
    assert message.to == ("ada@example.com",)
    assert message.title == "Your order ord-1 is on its way"
    assert "TRACK-1" in message.text
    assert message.key == "ord-1:orders:5:email"
    [attempt] = world.attempts()
    assert attempt["status"] == "sent"
    assert attempt["template"] == "order_shipped/email/en:0"
    assert (attempt["provider"], attempt["provider_id"]) == ("fake", "msg-1")


async def test_a_command_that_comes_again_sends_nothing(world):
    for command in await world.told():
        await handle_command(world.to, command)
    assert len(world.channels["email"].sent) == 1
    assert queued(world.bus) == []


async def test_a_provider_that_is_away_is_asked_again_later_each_time(world):
    world.channels["email"].outcome = unavailable(3)
    await world.told()

    attempts = world.attempts()
    assert [attempt["status"] for attempt in attempts] == ["failed", "failed", "failed", "sent"]
    assert {attempt["reason"] for attempt in attempts[:3]} == {"451 later"}
    elapsed = (world.clock.now() - START).total_seconds()
    assert 0.8 * 630 <= elapsed <= 1.2 * 630
    assert {message.key for message in world.channels["email"].sent} == {"ord-1:orders:5:email"}


async def test_a_provider_that_says_when_is_not_asked_earlier(world):
    world.channels["email"].outcome = unavailable(1, retry_after_s=900.0)
    await world.told()
    assert world.clock.now() - START == timedelta(seconds=900)


def test_the_pauses_grow_and_are_spread():
    chance = random.Random(4)
    pauses = [retry_in(number, chance).total_seconds() for number in range(1, 6)]
    for pause, wanted in zip(pauses, (30, 120, 480, 1920, 7200), strict=True):
        assert 0.8 * wanted <= pause <= 1.2 * wanted
    assert retry_in(1, chance) != retry_in(1, chance)
    assert retry_in(1, chance, retry_after_s=10**9) == timedelta(days=1)


async def test_a_provider_that_takes_too_long_counts_as_away(world):
    to = replace(world.to, timeout_s=0.01)

    async def forever(request):
        await asyncio.Event().wait()

    world.channels["email"]._gate = forever
    await with_profile(world.documents, EMAIL_ONLY)
    await tell(to, NOTICE)
    [command] = queued(world.bus)
    await handle_command(to, command)

    assert [attempt["reason"] for attempt in world.attempts()] == ["timeout", ""]


async def test_after_the_last_attempt_another_channel_stands_in(world):
    world.channels["email"].outcome = unavailable(99)
    await world.told(replace(ADA, push=()))

    assert len(world.channels["email"].sent) == MAX_ATTEMPTS
    assert statuses(world.documents) == {"email": ["failed"] * MAX_ATTEMPTS, "sms": ["sent"]}
    [message] = world.channels["sms"].sent
    assert message.to == ("+447700900123",)


async def test_a_refusal_is_not_repeated_and_another_channel_stands_in_once(world):
    for name in ("email", "push"):
        world.channels[name].outcome = refuse("550 no such user <ada@example.com>")
    await world.told(ADA)

    assert statuses(world.documents) == {"email": ["failed"], "push": ["failed"], "sms": ["sent"]}
    assert world.attempts()[0]["reason"] == "550 no such user <a***@example.com>"
    assert len(world.channels["sms"].sent) == 1


async def test_no_channel_stands_in_while_another_has_got_through(world):
    world.channels["email"].outcome = refuse("550")
    await world.told(ADA)
    assert statuses(world.documents) == {"email": ["failed"], "push": ["sent"]}


async def test_a_channel_that_is_off_does_not_stand_in_unless_the_kind_is_transactional(world):
    world.channels["email"].outcome = refuse("550")
    switches = {"sms": {"order_shipped": "off", "order_cancelled": "off"}}
    who = replace(ADA, push=(), switches=switches)
    await world.told(who)
    assert statuses(world.documents) == {"email": ["failed"]}

    parameters = {"order_id": "ord-1", "reason": "customer_request"}
    cancelled = replace(NOTICE, kind="order_cancelled", event_id="ord-1:orders:9", parameters=parameters)
    await world.told(who, cancelled)
    assert len(world.channels["sms"].sent) == 1


async def test_what_was_switched_off_before_its_turn_is_withheld_and_nothing_stands_in(world):
    await with_profile(world.documents)
    await tell(world.to, replace(NOTICE))
    switches = {"email": {"order_shipped": "off"}, "push": {"order_shipped": "off"}}
    await with_profile(world.documents, replace(ADA, switches=switches))
    await drain(world.to, world.bus, world.clock)

    assert statuses(world.documents) == {"email": ["withheld"], "push": ["withheld"]}
    assert world.attempts()[0]["reason"] == "switched_off"


async def test_an_address_that_went_away_lets_another_channel_stand_in(world):
    await with_profile(world.documents, replace(ADA, push=()))
    await tell(world.to, NOTICE)
    await with_profile(world.documents, replace(ADA, push=(), email=()))
    await drain(world.to, world.bus, world.clock)

    assert statuses(world.documents) == {"email": ["withheld"], "sms": ["sent"]}


async def test_a_push_subscription_that_is_gone_leaves_the_profile(world):
    [address] = ADA.addresses("push")
    world.channels["push"].outcome = refuse("410", (address,))
    await world.told(ADA)

    found = await profile.find(world.documents, "ada")
    assert found is not None
    assert found[0] == replace(ADA, push=())


async def test_in_quiet_hours_it_waits_for_their_end(world):
    quiet = replace(EMAIL_ONLY, quiet_hours=QuietHours(START.time(), (START + timedelta(hours=1)).time()))
    await world.told(quiet)

    assert world.clock.now() == START + timedelta(hours=1)
    assert statuses(world.documents) == {"email": ["sent"]}


async def test_a_retry_that_falls_into_quiet_hours_waits_too(world):
    world.channels["email"].outcome = unavailable(1)
    start, end = START + timedelta(seconds=10), START + timedelta(hours=2)
    await world.told(replace(EMAIL_ONLY, quiet_hours=QuietHours(start.time(), end.time())))

    assert world.clock.now() == end
    assert statuses(world.documents) == {"email": ["failed", "sent"]}


async def test_in_quiet_hours_a_refund_is_told_by_mail_and_on_other_channels_after_them(world):
    end = START + timedelta(hours=1)
    refunded = replace(
        NOTICE,
        kind="order_refunded",
        parameters={"order_id": "ord-1", "amount": 4990, "currency": "GBP"},
    )
    await world.told(replace(ADA, quiet_hours=QuietHours(START.time(), end.time())), refunded)

    sent = {
        item["channel"]: datetime.fromisoformat(item["attempts"][-1]["ended_at"])
        for item in world.documents.items("notifications")
        if item["type"] == "notification"
    }
    assert sent == {"email": START, "push": end}


async def test_an_event_that_comes_again_in_quiet_hours_still_waits_for_their_end(world):
    end = START + timedelta(hours=1)
    await with_profile(world.documents, replace(EMAIL_ONLY, quiet_hours=QuietHours(START.time(), end.time())))
    await tell(world.to, NOTICE)
    await with_profile(world.documents, EMAIL_ONLY)
    await tell(world.to, NOTICE)
    await drain(world.to, world.bus, world.clock)

    assert world.clock.now() == end
    assert len(world.channels["email"].sent) == 1


@pytest.mark.parametrize("outcome", ["delivered", "bounced", "failed"])
async def test_a_report_ends_the_attempt_and_comes_as_often_as_it_likes(world, outcome):
    await world.told()
    for _ in range(2):
        await world.report(outcome, "mailbox of ada@example.com full")
        await drain(world.to, world.bus, world.clock)

    [attempt] = world.attempts()
    assert (attempt["status"], attempt["reason"]) == (outcome, "mailbox of a***@example.com full")


async def test_a_message_that_bounces_lets_another_channel_stand_in_even_after_it_was_delivered(world):
    await world.told(replace(ADA, push=()))
    for number, outcome in enumerate(("delivered", "bounced", "delivered", "failed")):
        await world.report(outcome, id=f"rep-{number}")
        await drain(world.to, world.bus, world.clock)

    assert statuses(world.documents) == {"email": ["bounced"], "sms": ["sent"]}


async def test_a_report_that_comes_before_the_send_is_recorded_is_kept_for_it(world):
    world.channels["email"].outcome = unavailable(1)
    await with_profile(world.documents, EMAIL_ONLY)
    await tell(world.to, NOTICE)
    await world.report("delivered")
    world.channels["email"].outcome = lambda message: None
    await drain(world.to, world.bus, world.clock)

    assert statuses(world.documents) == {"email": ["delivered"]}


async def test_a_report_of_a_message_that_is_not_ours_is_looked_up_some_times_and_dropped(world):
    await world.report("bounced", provider_id="of-another-app")
    assert len(await drain(world.to, world.bus, world.clock)) == 5


async def test_a_template_that_fails_withholds_and_says_so(world):
    await world.told(notice=replace(NOTICE, parameters={"order_id": "ord-1"}))
    [attempt] = world.attempts()
    assert attempt["status"] == "withheld"
    assert "order_shipped/email/en:0: text: 'tracking_number' is undefined" in attempt["reason"]


async def test_a_command_for_what_is_not_there_is_refused(world):
    [command] = await world.told()
    for data, subject, rule in (
        (replace(command.data, notification_id="other"), command.subject, "there is no such notification"),
        (command.data, "ord-2", "subject: must be that of the data"),
    ):
        with pytest.raises(InvalidContract, match=rule):
            await handle_command(world.to, replace(command, data=data, subject=subject))


async def test_addresses_and_texts_are_not_logged(world, caplog):
    caplog.set_level("DEBUG")
    world.channels["email"].outcome = refuse("550 ada@example.com unknown")
    await world.told(replace(ADA, push=()))

    logged = caplog.text + str([getattr(record, "fields", "") for record in caplog.records])
    assert "notification sent or not" in logged
    for secret in ("ada@example.com", "+447700900123", "TRACK-1"):
        assert secret not in logged
