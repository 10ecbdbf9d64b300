"""The page about controls has all of them."""

from pathlib import Path

from hf_rap.columns import CONTROLS

PAGE = (Path(__file__).parents[2] / "docs" / "controls.md").read_text(encoding="utf-8")


def test_every_control_is_told():
    assert all(f"**{name}**" in PAGE for name in CONTROLS)
