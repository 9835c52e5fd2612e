"""What the README says of itself: settings, pictures and links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clinic_panel.config import PREFIX, Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINKED = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)


@pytest.mark.parametrize("name", Settings.names())
def test_every_setting_stands_in_the_readme(name):
    assert f"| `{PREFIX}{name.upper()}` |" in README


@pytest.mark.parametrize("linked", LINKED)
def test_every_linked_file_is_there_and_no_picture_is_heavy(linked):
    file = ROOT / linked
    assert file.is_file()
    if file.suffix == ".png":
        assert file.stat().st_size < 300_000


def test_there_is_a_picture_of_each_page():
    assert sum(linked.endswith(".png") for linked in LINKED) >= 7
