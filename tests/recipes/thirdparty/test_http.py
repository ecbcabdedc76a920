"""Requests to providers: limits, https, and silence; over a transport made here and over the network's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx2
import pytest

from coatcheck.recipes.exceptions import ProviderError
from coatcheck.recipes.thirdparty import http as thirdparty_http
from coatcheck.recipes.thirdparty.http import MAX_ANSWER_BYTES, ProviderHTTP, with_query


class Answering(httpx2.BaseTransport):
    """A transport that answers, or fails, in one way."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.requests: list[httpx2.Request] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer."""
        self.requests.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        response: httpx2.Response = self.answer
        return response


class Stream(httpx2.SyncByteStream):
    """A body in pieces that remembers how many were taken, and whether it was closed."""

    def __init__(self, pieces: int) -> None:
        self.pieces = pieces
        self.taken = 0
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self.pieces):
            self.taken += 1
            yield b" " * 65_536

    def close(self) -> None:
        """Remember."""
        self.closed = True


def asked(answer: Any, url: str = "https://op.example/x?token=hush", **options: Any) -> Any:
    """Return what a GET gives."""
    return ProviderHTTP("op", Answering(answer), allow_http=options.pop("allow_http", False)).get(url, **options)


def test_json_is_returned() -> None:
    """An answer in JSON is taken apart."""
    assert asked(httpx2.Response(200, json={"a": [1]})) == {"a": [1]}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx2.Response(200, text="<html>"), "GET https://op.example/x was answered with something that is not JSON"),
        (httpx2.Response(200, content=b"[" * 100_000), "not JSON"),
        (httpx2.Response(200, content=b"\xff"), "not JSON"),
        (httpx2.Response(404, json={"error": "not_found"}), r"status 404 \(not_found\)$"),
        (httpx2.Response(400, json={"error": "hush hush"}), "status 400$"),
        (httpx2.Response(400, json=[]), "status 400$"),
        (httpx2.Response(200, json={"error": "bad_code"}), r"answered with an error \(bad_code\)$"),
        (httpx2.Response(302, headers={"location": "https://evil.example"}), "status 302$"),
        (httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=Stream(1)), "encoding"),
        (httpx2.ConnectError("hush"), "failed: ConnectError$"),
        (httpx2.ReadTimeout("hush"), "took too long$"),
        (httpx2.ConnectTimeout("hush"), "took too long$"),
    ],
)
def test_everything_else_is_an_error(answer: Any, message: str) -> None:
    """Whatever goes wrong is one kind of error that names request and reason, and no query."""
    with pytest.raises(ProviderError, match=message) as error:
        asked(answer)
    assert "hush" not in str(error.value)
    assert error.value.third_party_id == "op"
    assert error.value.__cause__ is None


def test_a_large_answer_is_not_read_to_its_end() -> None:
    """Reading stops at the limit, and the connection is closed."""
    stream = Stream(10_000)
    with pytest.raises(ProviderError, match="more than"):
        asked(httpx2.Response(200, stream=stream))
    assert stream.taken == MAX_ANSWER_BYTES // 65_536 + 1
    assert stream.closed


def test_a_trickle_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that comes in small pieces has to be complete in the time there is."""
    monkeypatch.setattr(thirdparty_http, "TOTAL_TIMEOUT_S", -1.0)
    stream = Stream(10)
    with pytest.raises(ProviderError, match="took too long"):
        asked(httpx2.Response(200, stream=stream))
    assert stream.taken == 1
    assert stream.closed


@pytest.mark.parametrize(
    "url", ["http://op.example/", "ftp://op.example/", "op.example", "", "http://[", "file:///etc/x"]
)
def test_only_https_is_spoken(url: str) -> None:
    """A request that anybody could read is not sent."""
    transport = Answering(httpx2.Response(200, json={}))
    with pytest.raises(ProviderError, match=r"https address|malformed"):
        ProviderHTTP("op", transport, allow_http=False).get(url)
    assert not transport.requests


@pytest.mark.parametrize("url", ["http://localhost:9/", "http://127.0.0.1/", "http://[::1]/", "http://a.localhost/"])
def test_http_to_this_machine(url: str) -> None:
    """To this machine plain http will do."""
    assert asked(httpx2.Response(200, json=1), url) == 1


def test_http_for_tests() -> None:
    """Where everything is for tests, plain http will do."""
    assert asked(httpx2.Response(200, json=1), "http://op.example/", allow_http=True) == 1


@pytest.mark.parametrize("host", ["localhost.evil.example", "127.0.0.1.evil.example", "evillocalhost", "10.0.0.1"])
def test_hosts_that_only_look_local(host: str) -> None:
    """A host that begins like this machine's name is another machine."""
    with pytest.raises(ProviderError, match="https address"):
        asked(httpx2.Response(200, json=1), f"http://{host}/")


def test_a_form_is_sent_with_limits() -> None:
    """A form is urlencoded, answers are wanted plain and in JSON, and every phase of a request has a limit."""
    transport = Answering(httpx2.Response(200, json={}))
    ProviderHTTP("op", transport, allow_http=False).post_form("https://op.example/token", {"code": "a b&c"})
    request = transport.requests[0]
    assert request.read() == b"code=a+b%26c"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert (request.headers["accept"], request.headers["accept-encoding"]) == ("application/json", "identity")
    assert request.headers["user-agent"] == "coatcheck"
    assert set(request.extensions["timeout"]) == {"connect", "read", "write", "pool"}
    assert all(limit <= 5 for limit in request.extensions["timeout"].values())


def test_queries_are_merged() -> None:
    """Parameters take the place of those of the same name, and None takes one away."""
    assert with_query("https://a/?x=1&y=2#f", {"y": "3", "z": "a b", "x": None}) == "https://a/?y=3&z=a+b#f"
    assert with_query("https://a/b", {"x": None}) == "https://a/b"


# The network


@pytest.fixture
def server() -> Iterator[str]:
    """Serve on this machine; return the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"path": "%s"}' % self.path.encode() if self.path != "/huge" else b" " * (MAX_ANSWER_BYTES + 1)
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_the_network_is_the_default(server: str, caplog: pytest.LogCaptureFixture) -> None:
    """Without a transport, requests go over the network; nobody logs their addresses."""
    caplog.set_level("DEBUG")
    http = ProviderHTTP("op", None, allow_http=False)
    assert http.get(f"{server}/x", params={"access_token": "hush"}) == {"path": "/x?access_token=hush"}
    with pytest.raises(ProviderError, match="more than"):
        http.get(f"{server}/huge")
    assert "hush" not in caplog.text


def test_nobody_there() -> None:
    """A server that is not there is an error like any other."""
    with pytest.raises(ProviderError, match="failed: ConnectError"):
        ProviderHTTP("op", None, allow_http=False).get("http://127.0.0.1:1/")
