"""The policy of the calls to a provider, on simulated time."""

import asyncio
import random

import orjson
import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from adapters.resilience.carrier import ResilientCarrier
from adapters.resilience.channel import ResilientChannel
from adapters.resilience.gateway import ResilientGateway
from core.bulkhead import BulkheadFull
from core.circuit import CircuitOpen
from core.outside_call import Guarded, OutcomeUnknown, OutsideUnavailable
from core.outside_limits import OutsideLimits
from core.outside_metrics import CALLS, CIRCUIT_STATE, REFUSED, observe
from core.outside_policy import OutsidePolicy
from core.resilience import TransientError
from emulator.simulation import run_simulated
from services.notifications.channels import Channel, Message, SendRefused, SendUnavailable, Sent
from services.payments.gateway import PaymentGateway
from services.shipping.carrier import Carrier
from tests.unit.http_support import Api, content

LIMITS = OutsideLimits(
    timeout_s=10.0, attempt_s=4.0, attempts=4, circuit_failures=5, circuit_s=20.0, concurrency=2, queue=1
)
DOWN = OutsideUnavailable("down")


class Provider:
    """Answers each call as told: raises an error, or takes so many seconds. In the end it answers at once."""

    def __init__(self, *behaviour: Exception | float) -> None:
        self.behaviour = list(behaviour)
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        does = self.behaviour.pop(0) if self.behaviour else 0.0
        if isinstance(does, Exception):
            raise does
        await asyncio.sleep(does)
        return "done"


def policy(limits: OutsideLimits = LIMITS) -> OutsidePolicy:
    return OutsidePolicy("gateway:test", limits, random=random.Random(7))


async def outcome(call) -> str:
    try:
        return await call
    except TransientError as error:
        return type(error).__name__


async def opened() -> OutsidePolicy:
    found = policy()
    for _ in range(LIMITS.circuit_failures):
        assert await outcome(found.call(Provider(DOWN), repeat=False)) == "OutsideUnavailable"
    assert found.circuit.state == "open"
    return found


@pytest.mark.parametrize("failures", [0, 1, 3])
def test_a_call_is_repeated_until_it_succeeds(failures):
    provider = Provider(*[DOWN] * failures)
    assert run_simulated(policy().call(provider)) == "done"
    assert provider.calls == failures + 1


def test_after_so_many_attempts_the_last_error_is_raised():
    provider = Provider(*[DOWN] * 9)
    assert run_simulated(outcome(policy().call(provider))) == "OutsideUnavailable"
    assert provider.calls == LIMITS.attempts


def test_what_is_not_safe_to_repeat_is_not_repeated():
    provider = Provider(DOWN)
    assert run_simulated(outcome(policy().call(provider, repeat=False))) == "OutsideUnavailable"
    assert provider.calls == 1


def test_a_refusal_is_raised_at_once():
    provider = Provider(ValueError("no such order"))
    with pytest.raises(ValueError, match="no such order"):
        run_simulated(policy().call(provider))
    assert provider.calls == 1


def test_an_attempt_that_takes_too_long_is_given_up_and_made_again():
    async def scenario() -> None:
        provider = Provider(60.0)
        assert await policy().call(provider) == "done"
        assert provider.calls == 2
        assert 4.0 < asyncio.get_running_loop().time() < 4.3

    run_simulated(scenario())


def test_a_call_ends_in_its_time_whatever_its_attempts_do():
    async def scenario() -> None:
        with pytest.raises(OutcomeUnknown, match="gateway:test: no answer within"):
            await policy().call(Provider(60.0, 60.0, 60.0, 60.0))
        assert 8.0 < asyncio.get_running_loop().time() <= 10.0

    run_simulated(scenario())


def test_the_provider_s_own_wish_to_wait_is_followed_or_too_long():
    async def scenario() -> None:
        provider = Provider(OutsideUnavailable("busy", retry_after_s=3.0))
        assert await policy().call(provider) == "done"
        assert asyncio.get_running_loop().time() == pytest.approx(3.0)
        provider = Provider(OutsideUnavailable("busy", retry_after_s=30.0))
        assert await outcome(policy().call(provider)) == "OutsideUnavailable"
        assert provider.calls == 1

    run_simulated(scenario())


def test_what_one_attempt_did_not_do_an_earlier_one_may_have_done():
    """So a carrier that is asked next would not make a second parcel."""
    provider = Provider(60.0, DOWN, DOWN, DOWN)
    assert run_simulated(outcome(policy().call(provider))) == "OutcomeUnknown"


def test_an_open_circuit_is_refused_without_a_call_until_its_time_is_over():
    async def scenario() -> None:
        found, provider = await opened(), Provider()
        with pytest.raises(CircuitOpen) as refused:
            await found.call(provider)
        assert refused.value.retry_after_s == pytest.approx(20.0)
        assert (provider.calls, found.refused["circuit_open"]) == (0, 1)
        await asyncio.sleep(20.0)
        assert await found.call(provider) == "done"
        assert found.circuit.state == "closed"

    run_simulated(scenario())


def test_a_call_whose_failures_open_the_circuit_is_given_up_and_was_sent():
    async def scenario() -> None:
        found, provider = policy(), Provider(*[DOWN] * 9)
        await outcome(found.call(Provider(*[DOWN] * 4)))
        began = asyncio.get_running_loop().time()
        assert await outcome(found.call(provider)) == "OutsideUnavailable"
        assert provider.calls == 1  # the fifth in a row
        assert asyncio.get_running_loop().time() == began  # without a pause for another attempt

    run_simulated(scenario())


def test_one_probe_at_a_time_finds_out_whether_the_provider_is_back():
    async def scenario() -> None:
        found, provider = await opened(), Provider(2.0)
        await asyncio.sleep(20.0)
        outcomes = await asyncio.gather(*(outcome(found.call(provider)) for _ in range(2)))
        assert sorted(outcomes) == ["CircuitOpen", "done"]
        assert provider.calls == 1

    run_simulated(scenario())


def test_calls_beyond_the_bulkhead_and_its_queue_are_refused_at_once():
    async def scenario() -> None:
        found, provider = policy(), Provider(*[3.0] * 3)
        outcomes = await asyncio.gather(*(outcome(found.call(provider)) for _ in range(5)))
        assert sorted(outcomes) == ["BulkheadFull", "BulkheadFull", "done", "done", "done"]
        assert found.refused["bulkhead_full"] == 2

    run_simulated(scenario())


def test_who_waits_in_the_queue_when_the_circuit_opens_is_not_sent():
    async def scenario() -> None:
        found = policy(OutsideLimits(circuit_failures=1, concurrency=1, attempts=1))

        async def fails_later() -> str:
            await asyncio.sleep(1.0)
            raise DOWN

        waiting = Provider()
        outcomes = await asyncio.gather(outcome(found.call(fails_later)), outcome(found.call(waiting)))
        assert outcomes == ["OutsideUnavailable", "CircuitOpen"]
        assert (waiting.calls, found.bulkhead.running) == (0, 0)

    run_simulated(scenario())


def test_what_is_admitted_is_made_even_when_the_circuit_opens_meanwhile():
    async def scenario() -> None:
        found = policy()
        async with found.admitted():
            for _ in range(LIMITS.circuit_failures):
                with pytest.raises(OutsideUnavailable), found.circuit.attempt(probe=False):
                    raise DOWN
            assert found.circuit.state == "open"
            assert await found.call(Provider()) == "done"
        with pytest.raises(CircuitOpen):
            await found.call(Provider())

    run_simulated(scenario())


def test_an_admission_is_one_place_and_is_given_back():
    async def scenario() -> None:
        found = policy()
        async with found.admitted():
            assert await found.call(Provider()) == "done"
            assert found.bulkhead.running == 1
        assert found.bulkhead.running == 0

    run_simulated(scenario())


def test_a_new_process_remembers_nothing():
    async def scenario() -> None:
        found = await opened()
        found.reset()
        assert await found.call(Provider()) == "done"

    run_simulated(scenario())


class Mailer(Channel):
    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def send(self, message: Message) -> Sent:
        return Sent("test", await self._provider())


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (60.0, "timeout"),
        (SendUnavailable("busy", 9.0), "busy"),
    ],
)
def test_a_mail_is_sent_once_and_what_went_wrong_is_said_as_the_port_says_it(behaviour, reason):
    async def scenario() -> None:
        provider = Provider(behaviour)
        with pytest.raises(SendUnavailable, match=reason):
            await ResilientChannel(Mailer(provider), policy()).send(Message("k", ("a@b.example",), "", ""))
        assert provider.calls == 1

    run_simulated(scenario())


def test_a_mail_that_a_policy_refuses_may_be_sent_when_the_circuit_has_closed():
    async def scenario() -> None:
        with pytest.raises(SendUnavailable, match="circuit is open") as refused:
            await ResilientChannel(Mailer(Provider()), await opened()).send(Message("k", (), "", ""))
        assert refused.value.retry_after_s == pytest.approx(20.0)

    run_simulated(scenario())


def test_a_refused_mail_is_no_failure_of_the_sender():
    async def scenario() -> None:
        found = policy(OutsideLimits(circuit_failures=1))
        with pytest.raises(SendRefused):
            await ResilientChannel(Mailer(Provider(SendRefused("no such box"))), found).send(
                Message("k", (), "", "")
            )
        assert found.circuit.state == "closed"

    run_simulated(scenario())


@pytest.mark.parametrize(
    ("port", "wrapper"),
    [(PaymentGateway, ResilientGateway), (Carrier, ResilientCarrier), (Channel, ResilientChannel)],
)
def test_every_call_of_a_port_goes_through_its_policy(port, wrapper):
    """A method that is not overridden would answer None: a protocol's body is empty."""
    calls = {name for name in vars(port) if not name.startswith("_")}
    assert calls
    assert calls <= vars(wrapper).keys()
    assert isinstance(wrapper(None, policy()), Guarded)


def test_health_shows_the_circuits_and_stays_well():
    async def scenario() -> None:
        found = await opened()
        await outcome(found.call(Provider()))
        answer = await Api(outside=(found, OutsidePolicy("sender:email", LIMITS))).call("get_health")
        assert answer.status_code == 200
        assert content(answer) == {
            "status": "ok",
            "outside": [
                {
                    "provider": "gateway:test",
                    "circuit": "open",
                    "failures_in_a_row": 5,
                    "retry_after_s": 20.0,
                    "running": 0,
                    "waiting": 0,
                    "refused": {"circuit_open": 1, "bulkhead_full": 0},
                },
                {
                    "provider": "sender:email",
                    "circuit": "closed",
                    "failures_in_a_row": 0,
                    "retry_after_s": 0.0,
                    "running": 0,
                    "waiting": 0,
                    "refused": {"circuit_open": 0, "bulkhead_full": 0},
                },
            ],
        }
        assert orjson.dumps(found.status())

    run_simulated(scenario())


def test_the_state_of_the_circuits_is_a_metric():
    async def scenario() -> None:
        reader = InMemoryMetricReader()
        found, well = await opened(), OutsidePolicy("sender:email", LIMITS)
        with pytest.raises(CircuitOpen):
            await found.call(Provider())
        observe((found, well), MeterProvider([reader]).get_meter("orderflow"))
        data = reader.get_metrics_data()
        assert data is not None
        points = {
            (metric.name, *sorted((point.attributes or {}).values(), key=str)): point.value
            for metric in data.resource_metrics[0].scope_metrics[0].metrics
            for point in metric.data.data_points
        }
        assert points[CIRCUIT_STATE, "gateway:test"] == 2
        assert points[CIRCUIT_STATE, "sender:email"] == 0
        assert points[REFUSED, "circuit_open", "gateway:test"] == 1
        assert points[CALLS, "gateway:test", "running"] == 0

    run_simulated(scenario())


def test_a_bulkhead_s_refusal_is_transient():
    assert issubclass(BulkheadFull, TransientError)
