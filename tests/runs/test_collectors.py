"""Attention and step scores in run folders, beside rollouts and alone."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from datasets import Dataset
from model_server import ModelServer
from stubs import Stub, make_rows, stub_rollouts

from hf_rap import Attention, StepRewards, collect_evidence, collect_in_run, list_runs
from hf_rap.cli import cli
from hf_rap.demo import demo_engine, make_planted
from hf_rap.engines.transformers_engine import TransformersEngine
from hf_rap.errors import ColumnExistsError, MissingColumnError, RunError, SettingError
from hf_rap.process import one_row_per_response
from hf_rap.runs.fill import Run


def with_replies(rows=20, **options):
    return collect_evidence(make_rows(rows), stub_rollouts(2, **options))


def responses(rows=20):
    return one_row_per_response(with_replies(rows))


def step_rewards(**options):
    return StepRewards(Stub(**options), continuations=3, split=str.split)


def with_attention(**options):
    return Attention(Stub(**options))


KINDS = [(with_replies, with_attention, "attention"), (responses, step_rewards, "step scores")]


@pytest.mark.parametrize(("rows", "collector", "kind"), KINDS)
def test_a_run_gives_the_same_as_one_go(tmp_path, rows, collector, kind):
    """Values, order and types; half the rows first, then all of them shuffled; the listing says what it is."""
    run, ds = str(tmp_path / "run"), rows()
    collect_in_run(ds.select(range(len(ds) // 2)), collector(), run, rows_per_part=3)
    ds = ds.shuffle(seed=1)
    through_run = collect_in_run(ds, collector(), run, rows_per_part=3)
    in_one_go = collect_evidence(ds, collector())
    assert through_run.features == in_one_go.features
    assert through_run.to_list() == in_one_go.to_list()
    (held,) = list_runs(run)
    assert (held.kind, held.model, held.fewest_attempts) == (kind, "stub", None)
    assert held.rows == len(ds)


@pytest.mark.parametrize(("rows", "collector", "kind"), KINDS)
def test_ranks_share_the_rows(tmp_path, rows, collector, kind):
    """What one rank has done the other does not do; and it does what is left."""
    ds = rows()
    with Run(ds, collector(), str(tmp_path / "run"), rank=1, world=2, rows_per_part=4) as run:
        assert run.fill(range(4)).done == 4
    with Run(ds, collector(), str(tmp_path / "run"), rank=0, world=2, rows_per_part=4) as run:
        assert run.fill().done == len(ds) - 4
        run.finish()
        assert run.read().to_list() == collect_evidence(ds, collector()).to_list()


def test_other_replies_are_other_rows(tmp_path, caplog):
    """Attention belongs to a reply: a reply that changed is read again, the others are not; nor is another window mixed in."""
    run, ds = str(tmp_path / "run"), with_replies(10)
    collect_in_run(ds, with_attention(), run)
    replies = ds["rap_image_responses"][:]
    replies[1][0] = "something else entirely"
    other = ds.remove_columns("rap_image_responses").add_column("rap_image_responses", replies)
    with Run(other, with_attention(), run) as opened:
        assert opened.fill().done == 1
        assert "1 rows went through this run with other content and are done again, the first is 'row-00001'" in (
            caplog.text
        )
        found = opened.read()["rap_attention"][:]
    assert found[1][0]["tokens"] == ["something", "else", "entirely"]
    assert found == collect_evidence(other, with_attention())["rap_attention"][:]
    with Run(ds, Attention(Stub(), window=8), run) as opened:
        assert opened.fill().done == 10
    assert sorted(held.settings["window"] for held in list_runs(run)) == [8, 16]


def test_responses_of_one_question_do_not_look_like_changes(tmp_path, caplog):
    """A new response of a question that is in the run is no changed row."""
    ds = responses(6)
    collect_in_run(ds.select(range(1)), step_rewards(), str(tmp_path / "run"))
    collect_in_run(ds, step_rewards(), str(tmp_path / "run"))
    assert "other content" not in caplog.text


@pytest.mark.parametrize(("rows", "collector", "kind"), KINDS)
def test_errors_are_retried_on_request_and_stop_a_broken_run(tmp_path, rows, collector, kind):
    """As for rollouts: a failed row stays failed until retry_errors; too many end the run, and what is done stays."""
    run, cured, ds = str(tmp_path / "run"), tmp_path / "cured", rows()
    options = {"fails_on": "(3)", "stop_file": str(cured)}
    failing = collect_in_run(ds, collector(**options), run)
    (held,) = list_runs(run)
    assert held.failed == (1 if kind == "attention" else 2)
    cured.touch()
    assert collect_in_run(ds, collector(**options), run).to_list() == failing.to_list()
    retried = collect_in_run(ds, collector(**options), run, retry_errors=True)
    assert retried.to_list() == collect_evidence(ds, collector()).to_list()
    broken = rows(100)
    with pytest.raises(RunError, match=r"rows failed, more than max_errors=0.5.*ValueError: scripted"):
        collect_in_run(broken, collector(fails_on="How"), str(tmp_path / "broken"), rows_per_part=40)
    assert list_runs(str(tmp_path / "broken"))[0].rows == 40


def test_replies_that_are_too_short_are_no_failures(tmp_path):
    """What a reply is, no other try can change: a run of one-token replies does not count as broken."""
    ds = make_planted(40)
    ds = ds.add_column("rap_image_responses", [["3"]] * len(ds))
    found = collect_in_run(ds, Attention(demo_engine()), str(tmp_path / "run"))
    assert {row[0]["error"].split(":")[0] for row in found["rap_attention"]} == {"reply_too_short"}
    assert list_runs(str(tmp_path / "run"))[0].failed == 0


def test_faults_are_found_before_the_model_is_loaded(tmp_path):
    """No replies, evidence that is there already; the model does not exist and is not asked for."""
    nobody = TransformersEngine("nobody/nothing")
    run = str(tmp_path / "run")
    with pytest.raises(MissingColumnError, match=r"Make it first: ds\.map\(Rollouts"):
        collect_in_run(make_rows(2), Attention(nobody), run)
    with pytest.raises(MissingColumnError, match="'response'"):
        collect_in_run(make_rows(2), StepRewards(nobody), run)
    read = collect_evidence(with_replies(2), with_attention())
    with pytest.raises(ColumnExistsError, match="'rap_attention'"):
        collect_in_run(read, Attention(nobody), run)
    with pytest.raises(SettingError, match="rows_per_part is 0: it takes a whole number of 1 or more"):
        collect_in_run(with_replies(2), Attention(nobody), run, rows_per_part=0)
    assert not Path(run).exists()


ROLLOUTS = """
import sys
from hf_rap import EndpointEngine, Rollouts, collect_in_run
from hf_rap.demo import make_planted
rollouts = Rollouts(EndpointEngine(sys.argv[2], model="m", concurrency=2), attempts=2, max_new_tokens=32)
collect_in_run(make_planted(24), rollouts, sys.argv[1], rows_per_part=3)
"""
ATTENTION = """
import sys
sys.path.insert(0, sys.argv[3])
from datasets import Dataset
from stubs import Logged
from hf_rap import Attention, collect_in_run
from hf_rap.demo import demo_engine
ds = Dataset.from_parquet(sys.argv[2], cache_dir=sys.argv[2] + "-cache")
collect_in_run(ds, Attention(Logged(demo_engine(), sys.argv[2] + "-log", seconds=0.3)), sys.argv[1], rows_per_part=3)
"""


def kill_half_way(run, parts, code, *arguments):
    """Runs the code in a child, and kills it when it has written so many more parts."""
    already = len(list(run.glob("*/*.parquet")))
    child = subprocess.Popen([sys.executable, "-c", code, str(run), *map(str, arguments)])
    try:
        while len(list(run.glob("*/*.parquet"))) < already + parts:
            assert child.poll() is None
            time.sleep(0.02)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()


@pytest.mark.exhaustive
def test_rollouts_of_a_server_and_attention_of_a_local_model_in_one_run(tmp_path):
    """Both stages are killed half-way and go on; the attention is that of a plain map over the replies."""
    from hf_rap import EndpointEngine, Rollouts

    run, planted = tmp_path / "run", make_planted(24)
    with ModelServer(delay=0.05) as server:
        kill_half_way(run, 2, ROLLOUTS, server.url)
        (held,) = list_runs(str(run))
        assert (held.kind, 6 <= held.rows < 24) == ("rollouts", True)
        rollouts = Rollouts(EndpointEngine(server.url, model="m", concurrency=2), attempts=2, max_new_tokens=32)
        replies = collect_in_run(planted, rollouts, str(run), rows_per_part=3)
        assert replies.to_list() == collect_evidence(planted, rollouts).to_list()
    replies.to_parquet(tmp_path / "replies.parquet")
    kill_half_way(run, 2, ATTENTION, tmp_path / "replies.parquet", Path(__file__).parent)
    half = {held.kind: held.rows for held in list_runs(str(run))}
    assert half["rollouts"] == 24
    assert 6 <= half["attention"] < 24
    through_run = collect_in_run(replies, Attention(demo_engine()), str(run), rows_per_part=3)
    mapped = replies.map(Attention(demo_engine()), batched=True, batch_size=3)
    assert through_run.features == mapped.features
    assert through_run.remove_columns("images").to_list() == mapped.remove_columns("images").to_list()
    assert {one["error"] for row in through_run["rap_attention"] for one in row or []} == {None}
    assert {held.kind: held.rows for held in list_runs(str(run))} == {"rollouts": 24, "attention": 24}


def command(*arguments):
    """What a command prints on stdout."""
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_commands_share_one_run(tmp_path):
    """rollouts, attention and annotate-steps with --run; the second time nothing is computed; runs lists all three."""
    make_planted(8).to_parquet(tmp_path / "rows.parquet")
    run, evidence, read, steps = (tmp_path / name for name in ("run", "e.parquet", "read.parquet", "steps.parquet"))
    model = ("--model", "demo", "--run", run, "--json")
    short = ("--max-new-tokens", 32)
    command("rollouts", tmp_path / "rows.parquet", *model, *short, "--attempts", 1, "--out", evidence)
    told = json.loads(command("attention", evidence, *model, "--out", read))
    assert (told["rows"], told["file"], told["run"]) == (8, str(read), str(run))
    again = json.loads(command("attention", evidence, *model))
    assert again == {name: value for name, value in told.items() if name != "file"}
    told = json.loads(command("annotate-steps", evidence, *model, *short, "--continuations", 2, "--out", steps))
    assert told["rows"] == len(Dataset.from_parquet(str(steps), cache_dir=str(tmp_path / "cache")))
    parts = {path.name for path in run.glob("*/*.parquet")}
    command("annotate-steps", evidence, *model, *short, "--continuations", 2)
    assert {path.name for path in run.glob("*/*.parquet")} == parts
    shown = sorted(line.split("  ")[1:] for line in command("runs", run).splitlines())
    assert [line[0] for line in shown] == ["attention", "rollouts", "step scores"]
    assert shown[0][2] == "8 rows, 0 failed, 1 parts (window 16)"
    assert shown[1][2].startswith("8 rows, 1 failed, 1 attempts, 1 parts (temperature 1.0, ")
    assert shown[2][2].startswith(f"{told['rows']} rows, 0 failed, ")
    assert "continuations 2" in shown[2][2]


@pytest.mark.parametrize("name", ["rollouts", "attention", "annotate-steps"])
def test_what_belongs_together_is_asked_for_at_once(name, monkeypatch):
    """A run or a file; Ray and several processes want a run. The source does not exist and is not opened."""
    usage = [
        ((), "Give --out FILE.parquet or --run URL."),
        (("--out", "x.parquet", "--ray", "auto"), "--ray needs --run"),
    ]
    for words, message in usage:
        done = CliRunner().invoke(cli, [name, "nowhere", "--model", "demo", *words])
        assert (done.exit_code, message in done.output) == (2, True)
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = CliRunner().invoke(cli, [name, "nowhere", "--model", "demo", "--out", "x.parquet"])
    assert (done.exit_code, "Several processes need --run" in done.output) == (2, True)
