"""The layouts of docs/reference/layouts.md: every row in the table is read as it says."""

import io
import json

import pytest
from PIL import Image

from hf_rap import inspect_dataset, load_source
from hf_rap.rows.examples import EXAMPLES, PICTURE
from hf_rap.rows.recognition import RULES, recognise_layout
from hf_rap.rows.settling import layout_with


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
