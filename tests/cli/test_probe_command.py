"""--probe and --states: rows left out and what is said of them, kill -9 on the way, and what does not go together."""

import json
import re
import signal
import subprocess
import sys
import time

import pytest
from click.testing import CliRunner
from datasets import Dataset

from hf_rap.cli import cli
from hf_rap.demo import make_planted
from hf_rap.versions.probe_facts import describe_probed

MODEL = ("--model", "demo", "--max-new-tokens", "48", "--attempts", "2")
PROBE = ("--probe", "--probe-recall", "0.7", "--rows-per-part", "30")
RECORD = {"left_out": 3, "attempts": 2, "settle": 4, "settled": 1, "cut": 0.4}


def run(*words):
    """What the command prints."""
    done = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    """300 planted rows, the run and the evidence of a probed collection, and what was printed."""
    pytest.importorskip("sklearn", reason="pip install hf-rap[probe]")
    folder = tmp_path_factory.mktemp("probe")
    make_planted(300).to_parquet(folder / "rows.parquet")
    words = ("rollouts", folder / "rows.parquet", *MODEL, *PROBE, "--run", folder / "run", "--out")
    return folder, run(*words, folder / "evidence.parquet")


def rows_of(path):
    return Dataset.from_parquet(str(path), cache_dir=str(path) + "-cache").remove_columns("images").to_list()


@pytest.mark.exhaustive
def test_what_was_left_out_is_said(probed):
    """As many rows as have the reason, with the recall that was asked for and the one that the audit shows."""
    folder, printed = probed
    evidence = rows_of(folder / "evidence.parquet")
    record = json.loads(evidence[0]["rap_probed"])
    left_out = sum((row["rap_error"] or "").startswith("below_probe") for row in evidence)
    assert left_out == record["left_out"] > 0
    assert f"Probe: {left_out} rows left out at recall 0.7 asked" in printed
    assert f"recall by the audit of {record['audited']} rows: " in printed
    assert f"on rows held out: AUC {record['auc']:.3f}" in printed
    assert len(re.findall(r"-?\d\.\d\d", printed[printed.index("foretold cde  ") :].splitlines()[0])) == 5
    run("score", folder / "evidence.parquet", "--out", folder / "scored.parquet")
    selected = json.loads(run("select", folder / "scored.parquet", "--json"))
    assert selected["reasons"]["below_probe"] == left_out


@pytest.mark.exhaustive
@pytest.mark.parametrize("parts", [3, 13, 18])
def test_a_probed_run_that_is_killed_goes_on(probed, tmp_path, parts):
    """kill -9 among the states, in the slice and behind it: the same command gives the same evidence."""
    folder, _ = probed
    words = [
        *("rollouts", str(folder / "rows.parquet"), *MODEL, *PROBE, "--run", str(tmp_path / "run")),
        *("--out", str(tmp_path / "evidence.parquet")),
    ]
    child = subprocess.Popen([sys.executable, "-m", "hf_rap", *words], stderr=subprocess.DEVNULL)
    try:
        while len(list((tmp_path / "run").glob("*/*.parquet"))) < parts:
            assert child.poll() is None
            time.sleep(0.02)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert not (tmp_path / "evidence.parquet").exists()
    run(*words)
    assert rows_of(tmp_path / "evidence.parquet") == rows_of(folder / "evidence.parquet")


@pytest.mark.exhaustive
def test_a_version_of_probed_rows_says_so_on_its_card(probed):
    """`run --probe` with the same run: rows left out, recall, and how well the probe foretold."""
    folder, _ = probed
    words = ("run", folder / "rows.parquet", *MODEL, *PROBE, "--run", folder / "run", "--keep-easy")
    run(*words, "--to-folder", folder / "version")
    facts = json.loads((folder / "version" / "rap.json").read_text())["facts"]["probed"]
    card = (folder / "version" / "README.md").read_text()
    assert f"A probe left out {facts['left_out']} rows" in card
    first = facts["reliability"][0]
    assert f"| {first[0]} | {first[1]:.2f} | {first[2]:.2f} |" in card


@pytest.mark.slow
def test_states_are_kept_on_the_way(tmp_path):
    """With --states, from the pass that the replies take."""
    make_planted(6).to_parquet(tmp_path / "rows.parquet")
    run("rollouts", tmp_path / "rows.parquet", *MODEL, "--states", "--out", tmp_path / "evidence.parquet")
    evidence = rows_of(tmp_path / "evidence.parquet")
    assert sum(row["rap_image_states"] is not None for row in evidence) == 5  # of one kind the gold is unreadable


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--probe-recall", "0.9"], "--probe-recall is for --probe"),
        (["--probe-by", "source"], "--probe-by is for --probe"),
        (["--probe", "--dry-run", "3"], "--dry-run times all rows"),
        (["--probe", "--run", "r", "--ray", "auto"], "which --ray would load the model for each time"),
        (["--probe", "--run", "r", "--partial"], "--probe decides over all rows"),
        (["--probe", "--states"], "would write them twice"),
        (["--probe", "--run", "r", "--streaming"], "--probe decides over all rows"),
    ],
)
def test_what_does_not_go_together_is_refused(words, says):
    """Before anything is read."""
    done = CliRunner().invoke(cli, ["rollouts", "no-such.parquet", *MODEL, *words, "--out", "x.parquet"])
    assert done.exit_code == 2
    assert says in " ".join(done.output.split())


def test_sequential_attempts_with_a_probe_need_its_prior():
    """Or the selection would start from another prior than the attempts."""
    words = [
        "run",
        "x.parquet",
        *MODEL,
        "--probe",
        "--adaptive",
        "sequential",
        "--min-probability",
        "0.5",
        "--keep-easy",
    ]
    done = CliRunner().invoke(cli, [*words, "--to-folder", "x"])
    assert done.exit_code == 2
    assert "add --probe-prior" in done.output


def evidence_of(image, text, record=RECORD):
    table = {"rap_image_tokens": image, "rap_text_tokens": text, "rap_probed": [json.dumps(record)] * len(image)}
    return Dataset.from_dict(table)


def test_tokens_spared_are_counted_by_hand():
    """Means 10 and 4: three rows left out are 3 * 2 * 14 = 84 tokens, one row settled by 2 more per arm cost 28 of them."""
    ds = evidence_of([[8, 12], None], [[3, 5], None])
    assert describe_probed(ds) == {**RECORD, "tokens_spared": 56}
    assert describe_probed(evidence_of([[8, 12]], [[3]]))["tokens_spared"] is None  # adaptive
    assert describe_probed(evidence_of([[8, None]], [[3, 5]]))["tokens_spared"] is None  # not counted
    assert describe_probed(ds.remove_columns("rap_probed")) is None
    mixed = evidence_of([[8, 12]], [[3, 5]]).to_dict()
    mixed = {name: values * 2 for name, values in mixed.items()} | {"rap_probed": [json.dumps(RECORD), None]}
    assert describe_probed(Dataset.from_dict(mixed)) is None
