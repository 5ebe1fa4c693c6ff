"""Opens the store of argv[1] when a line comes on stdin: what `test_store_processes` does many times at once."""

import sys
from pathlib import Path

from emulator.database import open_writer
from tests.emulator.store_support import SCHEMA

for line in sys.stdin:
    open_writer(Path(line.strip()), SCHEMA, "OFF").close()
    print("open", flush=True)
