"""Where the log of a command goes, and how its lines look."""

from __future__ import annotations

import logging
import time

LEVELS = ("critical", "error", "warning", "info", "debug")


def configure_logging(level: str) -> None:
    """Write the log to standard error, times in GMT; `level` is for this library, others are never below info."""
    number = logging.getLevelNamesMapping()[level.upper()]
    formatter = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=max(number, logging.INFO), handlers=[handler], force=True)
    logging.getLogger("coatcheck").setLevel(number)
