"""The socket that a server listens on."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.server import ServerState

from coatcheck.server.address import bound, listen
from coatcheck.server.cli.serve import NoDelayProtocol


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_no_part_of_an_answer_waits_for_the_one_before(host: str) -> None:
    """Connections send at once what they are given, whichever event loop accepts them (RFC 1122, section 4.2.3.4)."""
    with bound(host, 0) as taken:
        listen(taken)
        with socket.create_connection(taken.getsockname()[:2]):
            accepted, _ = taken.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
                assert accepted.proto == socket.IPPROTO_TCP


@pytest.mark.parametrize(("protocol", "prompt"), [(NoDelayProtocol, True), (AutoHTTPProtocol, False)])
def test_workers_do_not_wait_either(protocol: Any, prompt: bool) -> None:
    """The same holds on a socket as uvicorn opens it for its workers, where it would not by itself."""

    async def is_prompt(accepted: socket.socket) -> bool:
        config = uvicorn.Config(Starlette(), log_config=None)
        transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
            lambda: protocol(config=config, server_state=ServerState(), app_state={}), accepted
        )
        chosen = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        transport.abort()
        await asyncio.sleep(0)
        return bool(chosen)

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with socket.create_connection(taken.getsockname()):
            assert asyncio.run(is_prompt(taken.accept()[0])) is prompt
