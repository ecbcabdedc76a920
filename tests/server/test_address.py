"""The socket that a server listens on."""

from __future__ import annotations

import socket

import pytest

from coatcheck.server.address import bound, listen


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
