"""Where it meets the world: ASGI, frameworks, the command line."""

from __future__ import annotations

from .app import create_app

__all__ = ["create_app"]
