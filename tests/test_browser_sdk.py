"""The browser SDK from npm, unmodified, signs up, refreshes and signs out against a real server."""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from coatcheck import App, InputAppInfo
from coatcheck.claims import Clock, ManualClock
from coatcheck.recipes import emailpassword, session
from coatcheck.server import create_app
from coatcheck.server.fastapi import verify_session

HERE = Path(__file__).parent
BROWSER = HERE / "browser"
WEBSITE = "http://localhost:3000"
INSTALL_S, RUN_S, STOP_S = 180, 60, 10

Facts = dict[str, Any]
REFRESH = "POST /auth/session/refresh"
