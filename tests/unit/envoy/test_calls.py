"""What we call outside of us: the control plane, Envoy's admin, CloudWatch Logs. Nothing they answer surprises us."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta

import aiohttp
import boto3
import pytest
from aiohttp import web
from moto import mock_aws

from chalicelib.agent.cloudwatch import CloudWatchSink
from chalicelib.agent.control_plane import HttpControlPlane, Unreachable
from chalicelib.agent.envoy_admin import EnvoySilentError, SocketAdmin, Update
from chalicelib.agent.install_script import LARGEST, SHA256, NoScriptError, fetch
from chalicelib.agent.keys import KeyFile
from tests.unit.envoy.fakes import settings


async def served(handler, job):
    """Run `job(url)` against a server that answers everything with `handler`."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        return await job(f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()


def poll(tmp_path, response: web.Response):
    async def answer(_):
        return response

    async def job(url):
        made = settings(tmp_path, url)
        made.key_file.write_text("ak_x_y\n")
        async with aiohttp.ClientSession() as session:
            return await HttpControlPlane(made, session, KeyFile(made.key_file)).poll('"r0.s0"')

    return asyncio.run(served(answer, job))


BODY = {"rules": {"etag": "r1", "items": []}, "states": None, "resend_from": None}


def test_a_poll_answers_etag_and_parts_or_nothing(tmp_path):
    assert poll(tmp_path, web.json_response(BODY, headers={"ETag": '"r1.s0"'})) == ('"r1.s0"', BODY)
    assert poll(tmp_path, web.Response(status=304)) is None


@pytest.mark.parametrize(
    ("said", "carries"), [("0.2.0", "0.2.0"), (None, None), ("<script>", None), ("0" * 5000, None)]
)
@pytest.mark.parametrize("status", [200, 304])
def test_each_answer_to_a_poll_says_which_agent_the_control_plane_carries(tmp_path, said, carries, status):
    headers = {"ETag": '"r1.s0"'} | ({"AutoStop-Agent-Version": said} if said else {})

    async def answer(_):
        return web.json_response(BODY, headers=headers) if status == 200 else web.Response(status=304, headers=headers)

    async def job(url):
        made = settings(tmp_path, url)
        made.key_file.write_text("ak_x_y\n")
        async with aiohttp.ClientSession() as session:
            plane = HttpControlPlane(made, session, KeyFile(made.key_file))
            assert plane.carries is None
            await plane.poll('"r0.s0"')
            return plane.carries

    assert asyncio.run(served(answer, job)) == carries


SCRIPT = b"#!/bin/bash\n" + b"x" * 100_000


@pytest.mark.parametrize(
    ("response", "why"),
    [
        ({"body": SCRIPT[:-1], "headers": {SHA256: hashlib.sha256(SCRIPT).hexdigest()}}, "damaged on its way"),
        ({"body": SCRIPT}, "does not say which SHA-256"),
        ({"body": SCRIPT, "headers": {SHA256: "yes"}}, "does not say which SHA-256"),
        ({"body": b"x" * (LARGEST + 1)}, "larger than any script"),
        ({"status": 403, "body": b"not yours"}, "answers 403: not yours"),
        ({"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}, "answers 302"),
    ],
)
def test_a_script_that_is_not_whole_is_none(tmp_path, response, why):
    with pytest.raises(NoScriptError, match=why):
        fetched(tmp_path, response)


def test_the_script_is_fetched_with_the_proxys_own_key(tmp_path):
    assert fetched(tmp_path, {"body": SCRIPT, "headers": {SHA256: hashlib.sha256(SCRIPT).hexdigest()}}) == SCRIPT


def fetched(tmp_path, response) -> bytes:
    async def answer(request):
        assert request.path == "/load-balancers/lb_1/install"
        assert request.headers["Authorization"] == "Bearer ak_x_y"
        return web.Response(**response)

    async def job(url):
        made = settings(tmp_path, url)
        made.key_file.write_text("ak_x_y\n")
        async with aiohttp.ClientSession() as session:
            return await fetch(made, session, KeyFile(made.key_file))

    return asyncio.run(served(answer, job))


@pytest.mark.parametrize(
    "response",
    [
        {"text": "no JSON", "headers": {"ETag": '"r1.s1"'}},
        {"text": "[1]"},
        {"text": '"a text"', "headers": {"ETag": '"r1.s1"'}},
        {"text": '{"rules": null}', "headers": {"ETag": '"r1.s1"'}},
        {"text": "[" * 100_000, "headers": {"ETag": '"r1.s1"'}},
        {"text": json.dumps(BODY)},
        {"text": '{"rules": [1]}', "headers": {"ETag": '"r1.s1"'}},
        {"text": "{}", "status": 200, "headers": {"ETag": ""}},
        {"status": 302, "headers": {"Location": "http://127.0.0.1:1/", "ETag": '"r1.s1"'}},
        {"status": 401},
        {"status": 500, "text": "x" * 100_000},
    ],
)
def test_a_poll_that_answers_anything_else_is_of_no_use(tmp_path, response):
    with pytest.raises(Unreachable):
        poll(tmp_path, web.Response(**response))


def test_a_missing_key_is_as_good_as_no_control_plane(tmp_path):
    async def job():
        async with aiohttp.ClientSession() as session:
            await HttpControlPlane(settings(tmp_path), session, KeyFile(tmp_path / "key")).report({})

    with pytest.raises(Unreachable):
        asyncio.run(job())


STATS = """cluster_manager.cds.version_text: "a-1"
http.http-80.rds.http-80.version_text: "a-2"
listener_manager.lds.version_text: ""
cluster_manager.cds.update_failure: 1
cluster_manager.cds.update_rejected: 2
http.http-80.rds.http-80.update_rejected: 3
listener_manager.lds.update_rejected: many
"""


def ask(tmp_path, text: str, question: str):
    async def story():
        async def answer(_):
            return web.Response(text=text)

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.UnixSite(runner, str(tmp_path / "admin.sock")).start()
        try:
            return await getattr(SocketAdmin(tmp_path / "admin.sock"), question)()
        finally:
            await runner.cleanup()

    return asyncio.run(story())


def test_envoys_stats_are_read_by_kind(tmp_path):
    assert ask(tmp_path, STATS, "updates") == {
        "cds": Update("a-1", 3),
        "rds:http-80": Update("a-2", 3),
        "lds": Update("", 0),
    }
    assert ask(tmp_path, "filesystem.write_failed: 7\n", "failed_writes") == 7


def test_envoys_words_about_listeners_are_told_once(tmp_path):
    bad = {"name": "tcp-1", "error_state": {"details": "cannot bind"}}
    dump = {"configs": [{"name": "tcp-2"}, bad, {"error_state": {"details": "cannot bind"}}]}
    assert ask(tmp_path, json.dumps(dump), "refused_listeners") == ["tcp-1: cannot bind"]


@pytest.mark.parametrize("question", ["updates", "refused_listeners", "failed_writes", "reopen_logs"])
def test_an_envoy_that_is_not_there_is_silent(tmp_path, question):
    with pytest.raises(EnvoySilentError):
        asyncio.run(getattr(SocketAdmin(tmp_path / "none.sock"), question)())


def test_words_that_are_no_json_are_none(tmp_path):
    with pytest.raises(EnvoySilentError):
        ask(tmp_path, "nonsense", "refused_listeners")


@pytest.fixture
def logs(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("logs", region_name="us-east-1")
        client.create_log_group(logGroupName="/g")
        yield client


def messages(logs) -> list[str]:
    return [e["message"] for e in logs.get_log_events(logGroupName="/g", logStreamName="lb_1/i-1")["events"]]


def test_lines_arrive_in_order_and_a_stream_that_is_gone_is_made_anew(logs, tmp_path):
    sink, now = CloudWatchSink(settings(tmp_path)), datetime.now(UTC)
    sink.put(["one", "two"], now)
    assert messages(logs) == ["one", "two"]
    logs.delete_log_stream(logGroupName="/g", logStreamName="lb_1/i-1")
    with pytest.raises(OSError, match="ResourceNotFound"):
        sink.put(["three"], now)
    sink.put(["three"], now)
    assert messages(logs) == ["three"]


def test_a_stream_that_is_there_already_is_used(logs, tmp_path):
    logs.create_log_stream(logGroupName="/g", logStreamName="lb_1/i-1")
    CloudWatchSink(settings(tmp_path)).put(["one"], datetime.now(UTC))
    assert messages(logs) == ["one"]


def test_lines_that_are_refused_for_their_time_have_not_arrived_and_the_clock_is_named(logs, tmp_path):
    sink = CloudWatchSink(settings(tmp_path))
    with pytest.raises(OSError, match="is the clock right"):
        sink.put(["one"], datetime.now(UTC) + timedelta(hours=3))
    sink.put(["one"], datetime.now(UTC))
    assert messages(logs) == ["one"]


def test_a_group_that_is_not_there_is_a_failure_to_be_tried_again(logs, tmp_path):
    logs.delete_log_group(logGroupName="/g")
    with pytest.raises(OSError, match="ResourceNotFound"):
        CloudWatchSink(settings(tmp_path)).put(["one"], datetime.now(UTC))
