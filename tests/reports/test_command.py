"""hf-rap report, from rows with scores, a file of select, and a version in a folder; and the lines to copy."""

import json
import shlex

import datasets
import pytest
from click.testing import CliRunner

from hf_rap import publish_to_folder, select_cognitive, select_difficulty, select_top
from hf_rap.cli import cli
from hf_rap.reports.rules import rule_of

from .test_pages import asked, parts_of, selection


def run(*words):
    """What the command prints."""
    done = CliRunner().invoke(cli, list(map(str, words)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def scored_file(tmp_path):
    """Rows with scores, in Parquet."""
    path = tmp_path / "scored.parquet"
    asked().to_parquet(str(path))
    return path


def test_rows_with_scores_are_selected_by_the_options(tmp_path, scored_file):
    """As `hf-rap select` does."""
    said = run("report", scored_file, "--min-cde", "0.4", "--out", tmp_path / "a.html")
    assert said == f"1 of 3 rows are kept; open {tmp_path / 'a.html'}\n"
    facts = parts_of((tmp_path / "a.html").read_text())["facts"]
    assert (facts["keep"], facts["title"], facts["decide"]["settings"]["min_cde"]) == ([1, 0, 0], "scored.parquet", 0.4)


def test_a_file_of_select_and_a_version_are_shown_as_they_were_decided(tmp_path, scored_file):
    """And one after the other, what changed: nothing, but for the rule."""
    run("select", scored_file, "--min-cde", "0.4", "--out", tmp_path / "selection.parquet")
    publish_to_folder(selection(), tmp_path / "version", licence="mit")
    run("report", tmp_path / "selection.parquet", "--out", tmp_path / "a.html")
    run("report", tmp_path / "version", "--before", tmp_path / "selection.parquet", "--out", tmp_path / "pages")
    facts = parts_of((tmp_path / "a.html").read_text())["facts"]
    assert (facts["keep"], facts["decide"]["command"].split()[:2]) == ([1, 0, 0], ["hf-rap", "select"])
    facts = json.loads((tmp_path / "pages" / "report.json").read_text())
    assert facts["title"] == "selection.parquet and version"
    assert (facts["keep"], facts["kept_before"]) == ([1, 0, 0], [1, 0, 0])
    assert {step[0] for step in facts["funnel"]} >= {"rows", "scored", "selected"}


@pytest.mark.parametrize(
    "selection_of",
    [
        lambda ds: select_cognitive(ds, method="rap-paper", max_ace=None, seed=3),
        lambda ds: select_cognitive(ds, replace_easy=False, max_ace=None, budget=20),
        lambda ds: select_cognitive(ds, replacements=0.5, min_cde=0.2, max_ace=0.7),
        lambda ds: select_difficulty(ds, 0.2, 0.6),
        lambda ds: select_top(ds, by="rap_cde", ratio=0.25, per="source", lowest=True),
        lambda ds: select_top(ds, by="rap_ace", count=9, per=None),
    ],
)
def test_the_lines_to_copy_make_the_same_selection(rows, selection_of, tmp_path):
    """The one for a shell and the one for Python, with the thresholds where they stand."""
    import hf_rap

    path = tmp_path / "it's scored.parquet"
    rows.to_parquet(str(path))
    made = selection_of(rows)
    rule = rule_of(made, str(path))
    moved = [handle for handle in rule["handles"] if handle["value"] != handle["default"]]
    python = ", ".join(["rows", *rule["fixed"], *(f"{handle['name']}={handle['value']}" for handle in moved)])
    in_python = eval(f"hf_rap.{rule['function']}({python})", {"hf_rap": hf_rap, "rows": rows})
    flags = " ".join(f"{handle['flag']} {handle['value']}" for handle in moved)
    words = shlex.split(f"{rule['command']} {flags} --out {shlex.quote(str(tmp_path / 'out.parquet'))}")
    run(*words[1:])
    in_shell = datasets.load_dataset("parquet", data_files=str(tmp_path / "out.parquet"), split="train")
    wanted = made.scored["rap_reason"][:]
    assert in_python.scored["rap_reason"][:] == wanted
    assert in_shell["rap_reason"][:] == wanted


def test_a_version_holds_its_page_and_the_card_links_it(tmp_path, scored_file):
    """The same bytes whenever it is published; without --report there is neither."""
    run("select", scored_file, "--min-cde", "0.4", "--out", tmp_path / "selection.parquet")
    run("publish", tmp_path / "selection.parquet", "--to-folder", tmp_path / "with", "--name", "n", "--report")
    run("publish", tmp_path / "selection.parquet", "--to-folder", tmp_path / "again", "--name", "n", "--report")
    run("publish", tmp_path / "selection.parquet", "--to-folder", tmp_path / "without", "--name", "n")
    page = (tmp_path / "with" / "report.html").read_bytes()
    assert page == (tmp_path / "again" / "report.html").read_bytes()
    assert parts_of(page.decode())["facts"]["title"] == "n 1.0.0"
    files = json.loads((tmp_path / "with" / "rap.json").read_text())["files"]
    assert files["report.html"]["bytes"] == len(page)
    assert "[report.html](report.html)" in (tmp_path / "with" / "README.md").read_text()
    assert "report.html" not in (tmp_path / "without" / "README.md").read_text()
    assert not (tmp_path / "without" / "report.html").exists()
