"""A sample of the public Online Retail data set, for the tests that use real orders when it is there.

Named by ORDERFLOW_SAMPLE, else looked for in a `data` folder beside the repository.
"""

import os
from pathlib import Path

import pytest

from tools.emulator_process import PROJECT

NAME = "online_retail_sample.csv"

SAMPLE = Path(
    os.environ.get("ORDERFLOW_SAMPLE")
    or next(PROJECT.parent.glob(f"*/data/{NAME}"), PROJECT.parent / "data" / NAME)
)

needs_sample = pytest.mark.skipif(
    not SAMPLE.is_file(),
    reason=f"the sample of the public data set is not here (ORDERFLOW_SAMPLE, or {NAME})",
)
