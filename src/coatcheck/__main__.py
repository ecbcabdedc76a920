"""`python -m coatcheck` is the `coatcheck` command."""

from .server.cli import main

main()
