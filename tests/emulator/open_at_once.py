"""A process of test_store_processes.py: opens a new store for each path that comes on its standard input."""

import sys
from pathlib import Path

from emulator.database import open_writer
from tests.emulator.store_support import SCHEMA

for line in sys.stdin:
    open_writer(Path(line.strip()), SCHEMA, "OFF").close()
    sys.stdout.write("open\n")
    sys.stdout.flush()
