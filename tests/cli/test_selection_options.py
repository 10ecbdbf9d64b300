"""Options of a selection on the command line mean what they mean in Python; no model runs here."""

import json

import pytest
from datasets import Dataset, load_dataset

from hf_rap.select import select_cognitive

from .test_commands import hf_rap

# Ten rows always solved, ten that the image helps now and then, ten that it never does, twenty kept.
CDE = [0.8] * 10 + [0.4] * 10 + [0.0] * 10 + [0.6] * 20
DIFFICULTY = [0.0] * 10 + [0.6] * 10 + [0.8] * 10 + [0.4] * 20
ACE = [0.05] * 45 + [0.3] * 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("scored")
    Dataset.from_dict({"rap_cde": CDE, "rap_difficulty": DIFFICULTY}).to_parquet(place / "scored.parquet")
    Dataset.from_dict({"rap_cde": CDE, "rap_difficulty": DIFFICULTY, "rap_ace": ACE}).to_parquet(place / "ace.parquet")
    return place


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ([], {}),
        (["--max-ace", "none"], {"max_ace": None}),
        (["--max-ace", "0.2"], {"max_ace": 0.2}),
        (["--min-replacement-cde", "none"], {"min_replacement_cde": None}),
        (["--replacements", "3"], {"replacements": 3}),
        (["--replacements", "0.5"], {"replacements": 0.5}),
        (["--replacements", "1.0"], {"replacements": 1.0}),
        (["--replacements", "as-many", "--method", "rap-paper"], {"method": "rap-paper"}),
    ],
)
def test_the_same_rows_as_in_python(folder, words, options):
    """Words such as none and as-many included."""
    expected = select_cognitive(
        load_dataset("parquet", data_files=str(folder / "ace.parquet"), split="train"), **options
    )
    done = hf_rap("select", "ace.parquet", *words, "--json", cwd=folder)
    told = json.loads(done.stdout)
    assert told["rule"] == expected.rule
    assert told["reasons"] == expected.reasons
    assert told["funnel"] == {step.name: step.rows for step in expected.funnel}
    assert told["remarks"] == list(expected.remarks)


def test_what_is_no_option_is_told(folder):
    """In the words of Python."""
    for words, said in (
        (("--min-cde", "none"), "min_cde is None: it takes a number between -1 and 1"),
        (("--replacements", "all"), "replacements is 'all': it takes a number of rows"),
    ):
        assert said in hf_rap("select", "ace.parquet", *words, cwd=folder).stderr


def test_a_sweep_is_a_table_and_a_plot(folder):
    """Twenty rows are above 0.4 and not always solved; the ten that leave make room for ten of 0.4, above the floor."""
    done = hf_rap("compare", "scored.parquet", "--sweep", "min_cde=0:0.8:0.4", "--plot", "sweep.png", cwd=folder)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["50", "rows,", "method", "rap"]
    assert [line[:3] for line in lines[3:]] == [["0", "30", "0%"], ["0.4", "30", "33%"], ["0.8", "0", "-"]]
    assert (folder / "sweep.png").read_bytes().startswith(b"\x89PNG")
    told = json.loads(
        hf_rap(
            "compare", "ace.parquet", "--methods", "rap-paper", "--sweep", "max-ace=0.1,0.5", "--json", cwd=folder
        ).stdout
    )
    assert (told["method"], [point["rows"] for point in told["points"]]) == ("rap-paper", [25, 30])


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--sweep", "min_cde"], 1, "got 'min_cde'"),
        (["--sweep", "min_cde=0:1:0"], 1, "A sweep is an option with a range"),
        (["--sweep", "min_cde=0:1:0.001"], 1, "at most 200"),
        (["--sweep", "seed=1,2"], 1, "option is 'seed': it takes one of min_cde, max_ace"),
        (["--sweep", "min_cde=0:2:1"], 1, "min_cde is 2.0: it takes a number between -1 and 1"),
        (["--sweep", "max_ace=0.1"], 1, "sweep reads column 'rap_ace'"),
        (["--sweep", "min_cde=0:1:0.5", "--methods", "rap,random"], 2, "--sweep is about one method"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused(folder, words, code, said):
    """With what it takes."""
    done = hf_rap("compare", "scored.parquet", *words, cwd=folder)
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
