"""The benchmarks run; what they measure is no business of a test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ..kit import LIMIT_S

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
GROUPS = ("verify", "chain", "sessions", "routes")
FRAMEWORKS = ("starlette", "fastapi", "flask", "django-wsgi", "django-asgi", "django-rest")


def test_the_benchmarks_print_a_table() -> None:
    """One command prints one table and nothing else, with a row for each thing measured and its target."""
    command = [sys.executable, "benchmarks/run.py", "--only", ",".join(GROUPS), "--rounds", "1", "--count", "8"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    heading, _rule, *rows = ran.stdout.splitlines()
    assert heading.split()[:3] == ["group", "what", "time"]
    assert {row.split()[0] for row in rows} == set(GROUPS)
    assert any("<=" in row for row in rows)
    for framework in FRAMEWORKS:  # each answers on both routes, or there is no table
        assert any(f"a protected route's requests, {framework} " in row for row in rows)
