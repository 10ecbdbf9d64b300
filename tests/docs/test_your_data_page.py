"""docs/your-data.md: its table is made by the code, and every row in it is read as it says."""

import io
import json
import re
from pathlib import Path

import pytest
from PIL import Image

from hf_rap import inspect_dataset, load_source
from hf_rap.rows.examples import EXAMPLES, PICTURE, table
from hf_rap.rows.recognition import RULES, recognise_layout
from hf_rap.rows.settling import layout_with

PAGE = (Path(__file__).parents[2] / "docs" / "your-data.md").read_text(encoding="utf-8")


def test_the_table_is_the_one_of_the_code():
    """`python -m hf_rap.rows.examples` makes it."""
    assert table() in PAGE


def test_every_layout_has_an_example():
    """But our own published columns and exports, which have pages of their own."""
    assert {rule.name for rule in RULES} - {example.name for example in EXAMPLES} == {"hf_rap"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example.name}: {example.datasets}")
def test_each_row_of_the_table_is_read(example, tmp_path):
    """As JSON beside a picture, through what `hf-rap inspect` does: usable, with the flags that the table says."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    (tmp_path / "a.png").write_bytes(file.getvalue())
    row = json.dumps(example.row, ensure_ascii=False).replace(PICTURE, "a.png")
    (tmp_path / "rows.jsonl").write_text(row + "\n", encoding="utf-8")

    ds = load_source(str(tmp_path / "rows.jsonl"))
    inspection = inspect_dataset(ds, layout_with(ds, example.layout) if example.layout else None)

    assert recognise_layout(ds.features).name == example.name
    assert (inspection.usable, inspection.unread) == (1, ())
    assert inspection.shown[0].read_as


def test_links_of_the_page_lead_somewhere():
    """Pages that it names are there."""
    pages = set(re.findall(r"docs/([\w-]+\.md)", PAGE))
    assert {page for page in pages if not (Path(__file__).parents[2] / "docs" / page).is_file()} == set()
