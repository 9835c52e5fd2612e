"""The notebooks run from top to bottom against a demo clinic, and leave no output behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from clinic_panel.config import Settings
from clinic_panel.context import system
from clinic_panel.demo.fill import fill
from clinic_panel.demo.images import keep
from clinic_panel.imaging import phantom
from clinic_panel.resources import build_context, build_engine
from tests.conftest import Clock

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WHOLE_SLICES, WHOLE_ROWS = 120, 128  # all inserts, at a quarter of the resolution


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A demo home, and one whole CT phantom received into its archive."""
    folder = tmp_path_factory.mktemp("demo")
    settings = Settings.read({}, home=folder, timezone="Europe/Berlin")
    now = Clock(datetime(2026, 3, 16, 12, 0, tzinfo=settings.zone))
    fill(settings, clock=now)
    engine = build_engine(settings)
    ctx = build_context(settings, engine, system("test"), now)
    identity = phantom.Identity(taken_at=now() - timedelta(minutes=30))
    keep(ctx, phantom.ct_phantom(identity, slices=WHOLE_SLICES, rows=WHOLE_ROWS), "CT1")
    engine.dispose()
    return folder


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, home):
    others = {name: text for name, text in os.environ.items() if not name.startswith("CLINIC_")}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbmake", "--nbmake-timeout=240", "-q", str(path)],
        cwd=ROOT,
        env=others | {"CLINIC_HOME": str(home), "CLINIC_TIMEZONE": "Europe/Berlin"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-4000:]
    assert "1 passed" in ran.stdout


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(path):
    cells = json.loads(path.read_text())["cells"]

    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_there_is_a_notebook():
    assert [path.name for path in NOTEBOOKS][:1] == ["01-a-day-in-the-clinic.ipynb"]
