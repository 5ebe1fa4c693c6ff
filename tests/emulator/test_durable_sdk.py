"""The shortcuts for the SDK change nothing but the cost."""

import json
from datetime import UTC, datetime
from importlib import import_module

import pytest
from aiohttp import web
from azure.durable_functions import DurableOrchestrationClient, DurableOrchestrationContext
from azure.durable_functions.models.DurableOrchestrationBindings import DurableOrchestrationBindings
from azure.durable_functions.models.history import HistoryEvent
from azure.durable_functions.models.utils import http_utils
from azure.functions import Document
from azure.functions import _durable_functions as codec
from dateutil.parser import parse
from hypothesis import given
from hypothesis import strategies as st

from emulator.durable import history, http_api, status
from emulator.durable.sdk import (
    fast_parser,
    install_cached_client_binding,
    install_cached_tuple_class,
    install_fast_documents,
    install_fast_json,
    install_fast_timestamps,
    install_in_process_rpc,
)
from emulator.http import HttpAnswer

fast = fast_parser(parse)
moments = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    datetime.timestamp
)


@given(moments)
def test_the_forms_that_the_host_writes_are_parsed_as_dateutil_does(seconds):
    for text in (history.timestamp(seconds), status.to_the_second(seconds)):
        assert fast(text) == parse(text)
        assert str(fast(text)) == str(parse(text))
        assert fast(text).utcoffset() == parse(text).utcoffset()
    assert history.seconds(history.timestamp(seconds)) == seconds


def outcome(parser, text):
    try:
        return str(parser(text))
    except Exception as error:
        return type(error)


@given(
    st.one_of(
        st.text(max_size=30),
        st.from_regex(r"\d{4}-[0-9W]{2}-\d\dT\d\d:\d\d:\d\d([.,]\d{6})?Z", fullmatch=True),
        st.from_regex(r"[0-9\-:.TZ+W ]{18,28}", fullmatch=True),
    )
)
def test_any_other_text_is_left_to_dateutil(text):
    assert outcome(fast, text) == outcome(parse, text)


def test_what_is_installed_can_be_taken_out_again():
    before = HistoryEvent(12, -1, False, "2027-01-15T08:00:00.000000Z").timestamp
    undos = [install_fast_timestamps(), install_cached_tuple_class()]
    assert HistoryEvent(12, -1, False, "2027-01-15T08:00:00.000000Z").timestamp == before
    for undo in reversed(undos):
        undo()
    assert HistoryEvent.__init__.__globals__["dt_parse"] is parse


async def test_only_urls_under_the_base_are_served_in_process():
    served = []

    class Engine:
        async def handle_http(self, method, path, query, headers, body):
            served.append((method, path, query, headers, body))
            return HttpAnswer(202, {}, b'{"id": "i"}')

    async def elsewhere(request):
        served.append((request.method, request.path, await request.json()))
        return web.json_response({"id": "elsewhere"}, status=201)

    web_app = web.Application()
    web_app.router.add_post("/orchestrators/o", elsewhere)
    runner = web.AppRunner(web_app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    undo = install_in_process_rpc(Engine(), "http://emulator.test")
    try:
        module = import_module("azure.durable_functions.models.DurableOrchestrationClient")
        assert await module.post_async_request(
            "http://emulator.test/a/b?c=d%20e", '{"x": 1}', "00-1-2-01"
        ) == [
            202,
            {"id": "i"},
        ]
        assert await module.post_async_request(f"http://127.0.0.1:{port}/orchestrators/o", "1") == [
            201,
            {"id": "elsewhere"},
        ]
    finally:
        undo()
        await http_utils._close_session()
        await runner.cleanup()
    assert served[0] == (
        "POST",
        "/a/b",
        {"c": "d e"},
        {"content-type": "application/json", "traceparent": "00-1-2-01"},
        b'"{\\"x\\": 1}"',
    )
    assert served[1] == ("POST", "/orchestrators/o", "1")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


class Money:
    def __init__(self, pence):
        self.pence = pence

    def __eq__(self, other):
        return self.pence == other.pence

    __hash__ = None

    @staticmethod
    def to_json(money):
        return {"pence": money.pence}

    @staticmethod
    def from_json(data):
        return Money(data["pence"])


def with_fast_json(work):
    undo = install_fast_json()
    try:
        return work()
    finally:
        undo()


@given(json_values)
def test_the_codec_reads_and_writes_every_value_as_without_the_shortcut(value):
    text = codec.df_dumps(value)
    assert with_fast_json(lambda: codec.df_dumps(value)) == text
    assert repr(with_fast_json(lambda: codec.df_loads(text))) == repr(codec.df_loads(text))


@given(st.floats(0, 7e9) | st.integers(0, 7 * 10**9).map(lambda whole: whole + 0.9999997))
def test_a_moment_is_written_as_datetime_writes_it(seconds):
    slow = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")[:26] + "Z"
    assert history.timestamp(seconds) == slow


@pytest.mark.parametrize(
    "text", ["-0", "18446744073709551615", "18446744073709551616", "1e400", "NaN", '"\ud800"', "\ufeff1"]
)
def test_values_that_parsers_read_differently_are_read_as_without_the_shortcut(text):
    def read():
        try:
            return repr(codec.df_loads(text))
        except ValueError as error:
            return repr(error)

    assert with_fast_json(read) == read()


def test_what_contains_itself_or_has_other_keys_is_written_as_without_the_shortcut():
    around: list[object] = []
    around.append(around)
    for value in (around, {1: (2, None), None: True, 2.5: float("nan")}, {(1, 2): 3}):

        def write(value=value):
            try:
                return codec.df_dumps(value)
            except (ValueError, TypeError) as error:
                return repr(error)

        assert with_fast_json(write) == write()


@pytest.mark.filterwarnings("ignore:azure.functions Durable JSON codec:DeprecationWarning")
def test_objects_of_a_class_are_still_built_however_their_key_is_escaped():
    text = codec.df_dumps({"paid": [Money(5)]})
    assert "__class__" in text
    for form in (text, text.replace("__class__", "\\u005f_class__")):
        assert with_fast_json(lambda form=form: codec.df_loads(form)) == {"paid": [Money(5)]}


def test_what_is_no_json_is_refused_as_without_the_shortcut():
    for call in (lambda: codec.df_loads("{"), lambda: codec.df_dumps({"a": {1, 2}})):
        with pytest.raises((ValueError, TypeError)) as slow:
            call()
        with pytest.raises((ValueError, TypeError)) as fast_one:
            with_fast_json(call)
        assert (type(fast_one.value), str(fast_one.value)) == (type(slow.value), str(slow.value))


def test_a_context_is_read_as_without_the_shortcut():
    started = {"EventType": 12, "EventId": -1, "IsPlayed": False, "Timestamp": "2027-01-15T08:00:00.000000Z"}
    given_input = json.dumps({"n": 2**70, "x": "\ud800"})
    text = json.dumps(
        {
            "history": [started],
            "instanceId": "i",
            "isReplaying": False,
            "parentInstanceId": None,
            "input": given_input,
        }
    )
    slow = DurableOrchestrationContext.from_json(text)
    fast_one = with_fast_json(lambda: DurableOrchestrationContext.from_json(text))
    assert fast_one.instance_id == slow.instance_id
    assert [event.timestamp for event in fast_one.histories] == [event.timestamp for event in slow.histories]
    assert fast_one.get_input() == slow.get_input() == {"n": 2**70, "x": "\ud800"}


def test_a_document_of_the_feed_is_the_same_and_its_own():
    source = {"id": "1", "lines": [1], "_etag": '"1"'}
    slow = Document.from_dict(source)
    undo = install_fast_documents()
    try:
        fast_one = Document.from_dict(source)
    finally:
        undo()
    assert fast_one == slow
    assert type(fast_one) is Document
    fast_one["id"] = "2"
    assert source["id"] == "1"
    assert Document.from_dict(source) == slow


def test_clients_of_one_binding_are_as_without_the_shortcut():
    text = http_api.client_binding("hub", "http://127.0.0.1:7071")
    slow = DurableOrchestrationClient(text)
    undo = install_cached_client_binding()
    try:
        clients = [DurableOrchestrationClient(text) for _ in range(2)]
        other = DurableOrchestrationClient(http_api.client_binding("other", "http://127.0.0.1:7072"))
        for client in clients:
            payload = client.create_http_management_payload("i")
            assert payload == slow.create_http_management_payload("i")
            payload.clear()
    finally:
        undo()
    assert other.create_http_management_payload("i") != slow.create_http_management_payload("i")
    assert isinstance(DurableOrchestrationBindings.__dict__["from_json"], classmethod)
