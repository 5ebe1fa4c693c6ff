"""The HTTP API of the durable extension, as the SDK's client and a person with curl use it."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from azure.durable_functions import OrchestrationRuntimeStatus as Runtime

from emulator.simulation import run_simulated
from tests.emulator.durable_app import BASE_URL, App, ended, running

ROOT = "/runtime/webhooks/durabletask"
JSON = {"content-type": "application/json", "host": "emulator.test"}


def waits(context):
    result = yield context.call_activity("double", 4)
    yield context.wait_for_external_event("go")
    return result


def app():
    return App({"waits": waits}, {"double": lambda number: number * 2})


async def request(engine, method, path, body=b"", headers=JSON, **query):
    answer = await engine.handle_http(method, f"{ROOT}/{path}", query, headers, body)
    return answer.status, answer.headers, json.loads(answer.body) if answer.body else None


def test_a_start_answers_with_the_links_of_the_instance_and_they_work(tmp_path):
    async def main():
        async with running(tmp_path, app()) as (engine, _):
            status, headers, links = await request(engine, "POST", "orchestrators/waits/i", b'{"a": 1}')
            assert status == 202
            assert headers["Location"] == links["statusQueryGetUri"]
            assert links["id"] == "i"
            await asyncio.sleep(1)
            for name, method, expected in (
                ("statusQueryGetUri", "GET", 202),
                ("suspendPostUri", "POST", 202),
                ("resumePostUri", "POST", 202),
                ("sendEventPostUri", "POST", 202),
                ("statusQueryGetUri", "GET", 200),
                ("terminatePostUri", "POST", 410),
                ("restartPostUri", "POST", 202),
                ("rewindPostUri", "POST", 501),
                ("purgeHistoryDeleteUri", "DELETE", 200),
                ("statusQueryGetUri", "GET", 404),
            ):
                path = links[name].removeprefix("http://emulator.test").partition("?")[0]
                path = path.replace("{eventName}", "go")
                answer = await engine.handle_http(method, path, {}, JSON, b"{}" if method == "POST" else b"")
                assert answer.status == expected, name
                await asyncio.sleep(1)

    run_simulated(main())


def test_a_running_status_says_where_and_when_to_ask_again(tmp_path):
    async def main():
        async with running(tmp_path, app()) as (engine, _):
            await request(engine, "POST", "orchestrators/waits/i", b'{"a": 1}')
            await asyncio.sleep(1)
            status, headers, payload = await request(engine, "GET", "instances/i", showInput="true")
            assert status == 202
            assert headers["Location"] == f"{BASE_URL}{ROOT}/instances/i?showInput=true"
            assert headers["Retry-After"] == "5"
            assert payload["input"] == {"a": 1}
            assert payload["createdTime"] == "2027-01-15T08:00:00Z"
            hidden = (await request(engine, "GET", "instances/i", showInput="false"))[2]
            assert hidden["input"] is None

    run_simulated(main())


def test_the_history_tells_what_was_scheduled_with_its_end(tmp_path):
    async def main():
        async with running(tmp_path, app()) as (engine, client):
            await client.start_new("waits", "i", {"a": 1})
            await asyncio.sleep(1)
            await client.raise_event("i", "go", 3)
            await ended(engine, "i")
            payload = (
                await request(engine, "GET", "instances/i", showHistory="true", showHistoryOutput="true")
            )[2]
            events = payload["historyEvents"]
            assert [event["EventType"] for event in events] == [
                "ExecutionStarted",
                "TaskCompleted",
                "EventRaised",
                "ExecutionCompleted",
            ]
            assert (events[1]["FunctionName"], events[1]["Result"]) == ("double", 8)
            assert events[3]["Result"] == 8
            bare = (await request(engine, "GET", "instances/i", showHistory="true", showInput="false"))[2]
            assert not any("Result" in event or "Input" in event for event in bare["historyEvents"])
            status = await client.get_status("i", show_history=True, show_history_output=True)
            assert status.historyEvents == events

    run_simulated(main())


def test_the_trace_of_a_start_is_that_of_all_its_functions(tmp_path):
    async def main():
        traced = app()
        async with running(tmp_path, traced) as (engine, client):
            headers = {**JSON, "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
            await request(engine, "POST", "orchestrators/waits/i", b"1", headers)
            await client.raise_event("i", "go")
            await ended(engine, "i")
            assert traced.traceparents == {headers["traceparent"]}

    run_simulated(main())


@pytest.mark.parametrize(
    ("name", "instance_id", "reason"),
    [
        ("nothing", "i", "The function 'nothing' doesn't exist"),
        ("waits", "@i", "must not start with @"),
        ("waits", "a%23b", "must not contain"),
        ("waits", "x" * 101, "must not exceed 100 characters"),
    ],
)
def test_a_start_that_is_wrong_is_refused_and_changes_nothing(tmp_path, name, instance_id, reason):
    async def main():
        async with running(tmp_path, app()) as (engine, client):
            status, _, payload = await request(engine, "POST", f"orchestrators/{name}/{instance_id}", b"1")
            assert status == 400
            assert reason in payload["ExceptionMessage"]
            with pytest.raises(Exception, match=reason):
                await client.start_new(name, instance_id)
            assert engine.store.read("SELECT count(*) FROM durable_instances") == [(0,)]

    run_simulated(main())


def test_a_body_that_is_not_json_is_refused(tmp_path):
    async def main():
        async with running(tmp_path, app()) as (engine, client):
            assert (await request(engine, "POST", "orchestrators/waits/i", b"{"))[0] == 400
            await client.start_new("waits", "i")
            assert (await request(engine, "POST", "instances/i/raiseEvent/go", b"{"))[0] == 400
            assert (await request(engine, "POST", "instances/i/raiseEvent/go", b"1", {}))[0] == 400

    run_simulated(main())


def test_an_event_for_no_instance_or_an_ended_one_is_refused(tmp_path):
    async def main():
        async with running(tmp_path, app()) as (engine, client):
            assert (await request(engine, "POST", "instances/i/raiseEvent/go", b"1"))[0] == 404
            with pytest.raises(Exception, match="No instance with ID i found"):
                await client.raise_event("i", "go")
            await client.start_new("waits", "i")
            await client.raise_event("i", "go")
            await ended(engine, "i")
            assert (await request(engine, "POST", "instances/i/raiseEvent/go", b"1"))[0] == 410
            with pytest.raises(Exception, match="Instance with ID i is gone"):
                await client.raise_event("i", "go")

    run_simulated(main())


def test_a_value_raised_over_http_arrives_as_it_is(tmp_path):
    """Unlike one that the SDK's client raises, which arrives as JSON text."""

    def echo(context):
        value = yield context.wait_for_external_event("go")
        return value

    async def main():
        async with running(tmp_path, App({"echo": echo})) as (engine, client):
            await client.start_new("echo", "i")
            await request(
                engine, "POST", "instances/i/raiseEvent/go", b'{"big": 123456789012345678901234567890}'
            )
            assert (await ended(engine, "i"))["output"] == {"big": 123456789012345678901234567890}

    run_simulated(main())


def test_resuming_what_is_not_suspended_is_refused(tmp_path):
    async def main():
        async with running(tmp_path, app()) as (engine, client):
            await client.start_new("waits", "i")
            await asyncio.sleep(1)
            status, _, payload = await request(engine, "POST", "instances/i/resume")
            assert status == 500
            assert "because instance is in the Running state" in payload["ExceptionMessage"]

    run_simulated(main())


def test_a_list_comes_in_pages(tmp_path):
    async def main():
        async with running(tmp_path, app()) as (engine, client):
            for number in range(7):
                await client.start_new("waits", f"{'odd' if number % 2 else 'even'}-{number}")
                await asyncio.sleep(1)
            seen, token = [], ""
            for _ in range(3):
                headers = {"x-ms-continuation-token": token} if token else {}
                status, answered, page = await request(engine, "GET", "instances/", b"", headers, top="3")
                assert status == 200
                seen += [instance["instanceId"] for instance in page]
                token = answered.get("x-ms-continuation-token", "")
            assert seen == ["even-0", "odd-1", "even-2", "odd-3", "even-4", "odd-5", "even-6"]
            assert not token
            wrong = {"x-ms-continuation-token": "nonsense"}
            assert (await request(engine, "GET", "instances/", b"", wrong))[0] == 400

    run_simulated(main())


def test_a_list_is_filtered_by_status_time_and_prefix(tmp_path):
    async def main():
        async with running(tmp_path, app()) as (engine, client):
            for name in ("a-1", "a-2", "b-1"):
                await client.start_new("waits", name)
                await asyncio.sleep(10)
            await client.raise_event("a-2", "go")
            await ended(engine, "a-2")

            async def ids(**conditions):
                return [status.instance_id for status in await client.get_status_by(**conditions)]

            start = datetime.fromtimestamp(1_800_000_000, UTC)
            assert await ids(instance_id_prefix="a-") == ["a-1", "a-2"]
            assert await ids(runtime_status=[Runtime.Completed]) == ["a-2"]
            assert await ids(runtime_status=[Runtime.Running, Runtime.Pending]) == ["a-1", "b-1"]
            assert await ids(created_time_from=start + timedelta(seconds=5)) == ["a-2", "b-1"]
            assert await ids(created_time_to=start + timedelta(seconds=5)) == ["a-1"]
            assert [status.instance_id for status in await client.get_status_all()] == ["a-1", "a-2", "b-1"]

    run_simulated(main())


def test_only_what_has_ended_is_purged(tmp_path):
    async def main():
        async with running(tmp_path, app()) as (engine, client):
            for name in ("one", "two", "three"):
                await client.start_new("waits", name)
            for name in ("one", "two"):
                await client.raise_event(name, "go")
                await ended(engine, name)
            assert (await client.purge_instance_history("nothing")).instances_deleted == 0
            assert (await client.purge_instance_history("three")).instances_deleted == 0
            assert (await client.purge_instance_history("one")).instances_deleted == 1
            assert not await client.get_status("one")
            since = datetime.fromtimestamp(0, UTC)
            assert (await client.purge_instance_history_by(since)).instances_deleted == 1
            assert [status.instance_id for status in await client.get_status_all()] == ["three"]
            assert (await request(engine, "DELETE", "instances/"))[0] == 400
            assert engine.store.read("SELECT DISTINCT instance_id FROM durable_history") == [("three",)]

    run_simulated(main())


def test_entities_and_rewind_are_refused_by_name(tmp_path):
    async def main():
        async with running(tmp_path, app()) as (engine, client):
            await client.start_new("waits", "i")
            status, _, reason = await request(engine, "GET", "entities/counter/one")
            assert (status, reason) == (501, "durable entities are not served by the embedded emulator")
            with pytest.raises(Exception, match="rewind is not served by the embedded emulator"):
                await client.rewind("i", "because")

    run_simulated(main())


def test_an_unknown_route_is_not_found(tmp_path):
    async def main():
        async with running(tmp_path, app()) as (engine, _):
            for method, path in (("GET", "nothing"), ("PUT", "instances/i"), ("POST", "instances/i/dance")):
                assert (await request(engine, method, path))[0] == 404

    run_simulated(main())
