"""The address a server listens on; it is taken before the server does anything else."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from typing import Any

from .exceptions import AddressError

_BACKLOG = 2048


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_any_address(host: str) -> bool:
    """Whether `host` stands for every address of the machine, as 0.0.0.0 does."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that owns the address but does not listen yet; AddressError if the address cannot be taken.

    Port 0 lets the system choose a port.
    """
    family, address = _resolved(host, port)
    # asyncio sets the option below only on connections that know their protocol, so it is named here.
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Connections inherit it. Without it the second part of an answer waits until the client confirms the first,
        # and clients delay that by 40 ms.
        taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if os.name == "posix":  # on other systems the option would let two servers share the port
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
    except OSError as error:
        taken.close()
        raise _refusal(host, port, error) from None
    return taken


def listen(taken: socket.socket) -> None:
    """Start to accept connections; AddressError if another server has started on this address in the meantime."""
    host, port = taken.getsockname()[:2]
    try:
        taken.listen(_BACKLOG)
    except OSError as error:
        raise _refusal(host, port, error) from None


def _resolved(host: str, port: int) -> tuple[int, Any]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise AddressError(f"--host {host}: there is no such address") from None
    # IPv4 first: uvicorn does the same for its workers.
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, address


def _refusal(host: str, port: int, error: OSError) -> AddressError:
    if error.errno == errno.EADDRINUSE:
        return AddressError(f"port {port} of {host} is in use by another process: choose another with --port")
    if error.errno == errno.EADDRNOTAVAIL:
        return AddressError(f"--host {host} is not an address of this machine")
    if error.errno == errno.EACCES:
        return AddressError(f"port {port} may not be used by this user: choose one from 1024 on with --port")
    return AddressError(f"cannot listen on {host}:{port}: {error.strerror}")
