"""What a run folder keeps of its parts is a stranger's word, too: its shape is checked before it is believed."""

import json

import pyarrow as pa
import pytest

from hf_rap import Rollouts, collect_in_run
from hf_rap.errors import RunError
from hf_rap.runs.folder import RunFolder
from hf_rap.runs.index import Index, part_schema
from hf_rap.runs.stored import FOLDER, keep_table, kept_names, read_table

from .conftest import Knows
from .test_sizes import rows


def forged(url, change):
    """The run's own table of its parts, written anew with another content under a name that fits it."""
    folder = RunFolder(url)
    (fingerprint,) = [name for name in folder.fingerprints() if kept_names(folder, name, "parts-")]
    for name in list(kept_names(folder, fingerprint, "parts-")):
        table = read_table(folder, fingerprint, name)
        made = change(table)
        folder.remove(f"{fingerprint}/{FOLDER}/{name}")
        keep_table(folder, fingerprint, "parts", made)


def swapped(table):
    """The first two rows say that they are each other."""
    name = table.column_names[0]
    return table.set_column(0, name, table[name].take(pa.array([1, 0, *range(2, len(table))])))


def cut(table):
    return table.slice(0, 1).replace_schema_metadata(table.schema.metadata)


def odd(table):
    about = json.loads(table.schema.metadata[b"parts"])
    return table.replace_schema_metadata({b"parts": json.dumps({**about, "parts": [7, None]}).encode()})


@pytest.mark.parametrize("change", [swapped, cut, odd])
def test_a_forged_table_of_parts_gives_no_row_the_evidence_of_another(tmp_path, change):
    """It is none, or found out when a part is read, which stops this start; the next one reads the parts anew."""
    url = str(tmp_path / "run")
    ds = rows((84,), (85,), (86,))
    right = collect_in_run(ds, Rollouts(Knows(), attempts=1), url)[:]
    index = Index(RunFolder(url), RunFolder(url).fingerprints(), part_schema(Rollouts(Knows()).stored), grader=None)
    index.refresh()
    index.keep()
    forged(url, change)
    if change is swapped:
        with pytest.raises(RunError, match="it holds other rows than the run's own table of its parts says"):
            collect_in_run(ds, Rollouts(Knows(), attempts=1), url)[:]
    again = collect_in_run(ds, Rollouts(Knows(), attempts=1), url)[:]
    assert again["rap_id"] == right["rap_id"]
    assert again["rap_image_responses"] == right["rap_image_responses"]
