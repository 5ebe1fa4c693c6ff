"""What is refused at the start, in which words: the worker's own, or the name of what is not served."""

import itertools
from pathlib import Path

import orjson
import pytest

from emulator.host.app import load_app
from emulator.host.functions import AppRefused
from emulator.host.limits import read_limits
from emulator.host.settings import load_local_settings, resolve
from emulator.host.simulated import simulated
from emulator.host.worker import index
from tests.emulator.hosting import app_of, on_simulated_time

_numbers = itertools.count()
HEAD = """
from typing import List
import azure.functions as func
import azure.durable_functions as df
app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
"""


def indexed(folder: Path, body: str, head: str = HEAD) -> None:
    """Each app is a module of its own name: the worker library imports by name, once."""
    script = f"refused_app_{next(_numbers)}.py"
    (folder / script).write_text(head + body)
    index(folder, script)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            '@app.service_bus_queue_trigger(arg_name="m", connection="B", queue_name="q",\n'
            '    cardinality="many")\n'
            "async def f(m: list[func.ServiceBusMessage]) -> None: ...",
            "FunctionLoadError: cannot load the f function: binding m has invalid non-type annotation",
        ),
        (
            '@app.timer_trigger(arg_name="other", schedule="0 * * * * *")\n'
            "async def f(timer: func.TimerRequest) -> None: ...",
            "the following parameters are declared in Python but not in the function definition",
        ),
        (
            "import no_such_module",
            "No module named 'no_such_module'. Cannot find module.",
        ),
        ("def broken(:", "SyntaxError: invalid syntax"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("another = func.FunctionApp()", "ValueError: More than one"),
        (
            '@app.route(route="a")\nasync def f(req: func.HttpRequest) -> func.HttpResponse: ...\n'
            '@app.function_name("f")\n@app.route(route="b")\n'
            "async def g(req: func.HttpRequest) -> func.HttpResponse: ...",
            "does not have a unique function name",
        ),
    ],
)
def test_an_app_that_the_worker_refuses_is_refused_in_its_words(
    tmp_path: Path, body: str, message: str
) -> None:
    with pytest.raises(AppRefused) as refusal:
        indexed(tmp_path, body)
    assert message in str(refusal.value)


def test_the_refusal_shows_where_in_the_app_and_nothing_of_the_emulator(tmp_path: Path) -> None:
    with pytest.raises(AppRefused) as refusal:
        indexed(tmp_path, "def half():\n    return 1 / 0\nhalf()")
    text = str(refusal.value)
    assert "in half" in text
    assert "return 1 / 0" in text
    assert "emulator/" not in text
    assert "site-packages" not in text


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ('@app.entity_trigger(context_name="context")\ndef f(context): ...', "entityTrigger"),
        (
            '@app.queue_trigger(arg_name="m", queue_name="q", connection="C")\n'
            "async def f(m: func.QueueMessage) -> None: ...",
            "queueTrigger",
        ),
        (
            '@app.blob_trigger(arg_name="b", path="p", connection="C")\n'
            "async def f(b: func.InputStream) -> None: ...",
            "blobTrigger",
        ),
        (
            '@app.event_grid_trigger(arg_name="e")\nasync def f(e: func.EventGridEvent) -> None: ...',
            "eventGridTrigger",
        ),
        (
            '@app.service_bus_queue_trigger(arg_name="m", connection="B", queue_name="q",\n'
            "    is_sessions_enabled=True)\n"
            "async def f(m: func.ServiceBusMessage) -> None: ...",
            "isSessionsEnabled",
        ),
        (
            '@app.timer_trigger(arg_name="timer", schedule="0 * * * * *")\n'
            '@app.service_bus_queue_output(arg_name="out", connection="B", queue_name="q")\n'
            "def f(timer: func.TimerRequest, out: func.Out[str]) -> None: ...",
            r"serviceBus binding \(OUT\)",
        ),
        (
            '@app.cosmos_db_trigger(arg_name="d", connection="C", database_name="d", container_name="c",\n'
            '    start_from_time="2026-01-01T00:00:00Z")\nasync def f(d: func.DocumentList) -> None: ...',
            "startFromTime",
        ),
    ],
)
def test_what_is_not_served_is_refused_by_name(tmp_path: Path, body: str, name: str) -> None:
    with pytest.raises(AppRefused, match=f"function f: .*{name}.* not served"):
        indexed(tmp_path, body)


def test_a_folder_without_an_app_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AppRefused, match=r"holds no function app: function_app\.py is not there"):
        load_app(tmp_path)
    with pytest.raises(AppRefused, match="is not a folder"):
        load_app(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "host.json is not JSON"),
        ("[]", "host.json: an object is needed"),
        (
            {"extensions": {"serviceBus": {"maxConcurentCalls": 4}}},
            "serviceBus: the key 'maxConcurentCalls' is not",
        ),
        (
            {"extensions": {"serviceBus": {"maxConcurrentCalls": 0}}},
            "maxConcurrentCalls: a whole number of at",
        ),
        (
            {"extensions": {"serviceBus": {"maxConcurrentCalls": True}}},
            "maxConcurrentCalls: a whole number of at",
        ),
        (
            {"extensions": {"serviceBus": {"minMessageBatchSize": 2}}},
            "minMessageBatchSize over 1 is not served",
        ),
        (
            {"extensions": {"serviceBus": {"autoCompleteMessages": "no"}}},
            "autoCompleteMessages: true or false",
        ),
        ({"extensions": {"serviceBus": {"maxAutoLockRenewalDuration": "5m"}}}, "a time such as 00:05:00"),
        ({"extensions": {"durableTask": {"extendedSessionsEnabled": True}}}, "for .NET apps only"),
        ({"extensions": {"http": {"routePrefix": 1}}}, "routePrefix: a string is needed"),
        ({"extensions": {"http": []}}, "extensions.http: an object is needed"),
        ({"extenions": {}}, "host.json: the key 'extenions' is not known"),
    ],
)
def test_a_host_json_that_is_not_right_is_refused_by_its_key(
    tmp_path: Path, document: object, message: str
) -> None:
    text = document if isinstance(document, str) else orjson.dumps(document).decode()
    (tmp_path / "host.json").write_text(text)
    with pytest.raises(AppRefused) as refusal:
        read_limits(tmp_path)
    assert message in str(refusal.value)


def test_limits_of_host_json(tmp_path: Path) -> None:
    assert read_limits(tmp_path, cores=2).service_bus.max_concurrent_calls == 32
    document = {
        "version": "2.0",
        "logging": {"logLevel": {"default": "Warning"}},
        "extensions": {
            "http": {"routePrefix": ""},
            "serviceBus": {"maxConcurrentCalls": 7, "maxAutoLockRenewalDuration": "1.00:00:30.5"},
            "durableTask": {"hubName": "hub", "maxConcurrentActivityFunctions": 3},
            "eventHubs": {"any": "thing"},
        },
    }
    (tmp_path / "host.json").write_bytes(orjson.dumps(document))
    limits = read_limits(tmp_path, cores=2)
    assert limits.route_prefix == ""
    assert limits.service_bus.max_concurrent_calls == 7
    assert limits.service_bus.renew_for_seconds == 86430.5
    assert limits.service_bus.auto_complete
    assert (limits.durable.max_activities, limits.durable.max_orchestrators) == (3, 20)
    assert limits.durable.hub == "hub"


def test_settings_that_a_trigger_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve("a-%B%-%C%", {"B": "1", "C": "2"}, "function f") == "a-1-2"
    with pytest.raises(AppRefused, match=r"function f: the app setting B \(in '%B%'\) is not set"):
        resolve("%B%", {}, "function f")
    monkeypatch.setenv("SET_ALREADY", "here")
    monkeypatch.delenv("SET_BY_FILE", raising=False)
    (tmp_path / "local.settings.json").write_text(
        '{"Values": {"SET_ALREADY": "file", "SET_BY_FILE": "file"}}'
    )
    load_local_settings(tmp_path)
    import os

    assert (os.environ["SET_ALREADY"], os.environ["SET_BY_FILE"]) == ("here", "file")
    monkeypatch.delenv("SET_BY_FILE")


@pytest.mark.parametrize("text", ["{", "[]", '{"Values": []}'])
def test_a_settings_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "local.settings.json").write_text(text)
    with pytest.raises(AppRefused, match=r"local\.settings\.json"):
        load_local_settings(tmp_path)


@on_simulated_time
async def test_entities_that_a_trigger_names_must_be_there(tmp_path: Path) -> None:
    import os

    app = app_of("bus_app.py", only=["take_one"])
    os.environ["WORK_QUEUE"] = "elsewhere"
    with pytest.raises(AppRefused, match=r"function take_one: topology/servicebus.json has no 'elsewhere'"):
        async with simulated(app, tmp_path):
            pass
    with pytest.raises(AppRefused, match=r"function plain: topology/cosmos.json has no 'leases'"):
        async with simulated(app_of("feed_app.py", containers=["things"]), tmp_path):
            pass
