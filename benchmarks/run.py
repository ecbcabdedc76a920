"""Measure everything and print one table: `python benchmarks/run.py`; `--help` tells what can be chosen."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterable

import imports
import kit
import layers
import lifecycle
import routes
import signing_in
import verification
import volume
from measure import Size
from table import Row, written

Group = Callable[[argparse.Namespace, Size], Iterable[Row]]

GROUPS: dict[str, Group] = {
    verification.GROUP: lambda _, size: verification.measured(size),
    layers.GROUP: lambda _, size: layers.measured(size),
    lifecycle.GROUP: lambda options, size: lifecycle.measured(size, postgres=options.postgres),
    signing_in.GROUP: lambda _, size: signing_in.measured(size),
    routes.GROUP: lambda _, size: routes.measured(size),
    volume.GROUP: lambda options, size: volume.measured(size, rows=options.rows, postgres=options.postgres),
    imports.GROUP: lambda _, size: imports.measured(size),
    kit.GROUP: lambda _, size: kit.measured(size),
}


def main() -> None:
    """Run the groups that were asked for."""
    options = _options()
    logging.getLogger("coatcheck").setLevel(logging.ERROR)
    size = Size(options.rounds, options.count)
    rows = [row for name in options.only for row in GROUPS[name](options, size)]
    print(written(rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=__doc__)
    known = ",".join(GROUPS)
    parser.add_argument("--only", type=_groups, default=list(GROUPS), help=f"some of {known}; all by default")
    parser.add_argument("--rows", type=_numbers, default=[10_000, 1_000_000], help="stored sessions, few and many")
    parser.add_argument(
        "--postgres", metavar="URL", help="a PostgreSQL server, on which databases are made and dropped"
    )
    parser.add_argument("--rounds", type=int, default=15, help="turns of each contender")
    parser.add_argument("--count", type=int, default=200, help="fast operations per turn; slow ones are an eighth")
    return parser.parse_args()


def _groups(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in GROUPS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(GROUPS)}")
    return names


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    main()
