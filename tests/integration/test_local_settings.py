"""A local.settings.json for `func start` does not keep the embedded emulator from running."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tools.api import connect
from tools.emulator_process import PROJECT, running, with_adapters


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "options"), [({}, ()), with_adapters("azure")], ids=["nothing asked for", "azure"]
)
async def test_the_emulator_serves_beside_the_settings_of_func_start(
    settings: Mapping[str, str], options: Sequence[str], tmp_path: Path
) -> None:
    """Its connections lead to the official emulators, which are not there."""
    app = tmp_path / "app"
    app.mkdir()
    for name in ("function_app.py", "host.json", "topology"):
        (app / name).symlink_to(PROJECT / name)
    shutil.copy(PROJECT / "local.settings.json.example", app / "local.settings.json")
    async with (
        running(tmp_path / "state", settings=settings, options=options, app=app) as emulator,
        connect(emulator.url, patience_s=10) as api,
    ):
        assert (await api.set_stock("TEAPOT", 3))["on_hand"] == 3
