"""`python -m coatcheck.shim` runs a module or a script with the shim installed."""

import sys

from . import main

main(sys.argv[1:])
