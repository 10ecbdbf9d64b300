"""The commands, end to end on planted rows and the built-in model, and what they say when something is wrong."""

import io
import json
import os
import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import click
import pytest
from click.testing import CliRunner
from datasets import Dataset, load_dataset

from hf_rap.cli import COMMANDS, GROUPS, cli, main
from hf_rap.demo import MODEL as GRID
from hf_rap.demo import make_planted
from hf_rap.engines.vllm_engine import VLLMEngine

COMMAND_FILES = Path(__file__).parents[2] / "hf_rap" / "cli"
MODEL = ["--model", "demo", "--max-new-tokens", "48"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Planted rows and one file of each step."""
    place = tmp_path_factory.mktemp("steps")
    make_planted(40).to_parquet(place / "planted.parquet")
    for words in (
        ["rollouts", "planted.parquet", *MODEL, "--out", "evidence.parquet"],
        ["score", "evidence.parquet", "--out", "scored.parquet"],
        ["select", "scored.parquet", "--keep-easy", "--out", "selection.parquet"],
    ):
        done = hf_rap(*words, cwd=place)
        assert done.returncode == 0, done.stderr
    return place


@dataclass
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def hf_rap(*words, cwd):
    """The command in this process, where the libraries are loaded already."""
    out, err, before = io.StringIO(), io.StringIO(), Path.cwd()
    os.chdir(cwd)
    try:
        with redirect_stdout(out), redirect_stderr(err), mock.patch.object(sys, "argv", ["hf-rap", *words]):
            main()
            code = 0
    except SystemExit as ended:
        code = ended.code or 0
    finally:
        os.chdir(before)
    return Done(code, out.getvalue(), err.getvalue())


def test_stability_takes_the_rule_of_a_selection_or_options(folder):
    """The file's own rule, options that change it, and the same by options alone."""
    done = hf_rap("stability", "selection.parquet", "--json", "--plot", "curve.png", cwd=folder)
    found = json.loads(done.stdout)
    assert 0 < found["jaccard"] < 1
    assert [point["attempts"] for point in found["curve"]] == [5, 8, 16, 32]
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    by_options = hf_rap("stability", "evidence.parquet", "--keep-easy", "--json", cwd=folder)
    assert json.loads(by_options.stdout) == found
    changed = hf_rap("stability", "selection.parquet", "--min-cde", "0.2", "--attempts", "3", cwd=folder)
    assert "Expected agreement with a fresh scoring: " in changed.stdout
    assert changed.stdout.splitlines()[1].split() == ["attempts", "3", "5"]
    wrong = hf_rap("stability", "evidence.parquet", "--attempts", "3;5", cwd=folder)
    assert (
        wrong.stderr.strip() == "hf-rap: --attempts takes whole numbers with commas between, such as 5,8,16, not '3;5'."
    )


def test_selecting_says_how_stable_that_is(folder):
    """In the closing table, and for programs."""
    done = hf_rap("select", "scored.parquet", cwd=folder)
    assert "Expected agreement with a fresh scoring: " in done.stdout
    found = json.loads(hf_rap("select", "scored.parquet", "--json", cwd=folder).stdout)["stability"]
    assert found["attempts"] == 5


@pytest.mark.slow
def test_intervals_and_probabilities(folder):
    """`score --intervals` adds the columns, `select --min-probability` goes by them."""
    assert hf_rap("score", "evidence.parquet", "--intervals", "--out", "sure.parquet", cwd=folder).returncode == 0
    scored = load_dataset("parquet", data_files=str(folder / "sure.parquet"), split="train")
    assert {"rap_cde_mean", "rap_cde_probability", "rap_difficulty_low"} <= set(scored.column_names)
    done = hf_rap("select", "sure.parquet", "--min-probability", "0.6", "--keep-easy", "--json", cwd=folder)
    kept = json.loads(done.stdout)["reasons"]["image_probably_needed"]
    assert kept == sum(chance is not None and chance >= 0.6 for chance in scored["rap_cde_probability"])
    both = hf_rap("select", "sure.parquet", "--min-probability", "0.6", "--budget", "3", cwd=folder)
    assert "give one of them" in both.stderr
    alone = hf_rap("score", "evidence.parquet", "--confidence", "0.9", "--out", "x.parquet", cwd=folder)
    assert alone.returncode == 2


def test_inspect_counts_what_cannot_be_scored(folder):
    """Of 40 planted rows the 2 with unreadable golds are listed; stdout is JSON and nothing else."""
    done = hf_rap("inspect", "planted.parquet", "--json", cwd=folder)
    found = json.loads(done.stdout)
    assert (found["rows"], found["usable"], found["codes"]) == (40, 38, {"gold_unreadable": 2})
    assert found["layout"]["name"] == "geometry3k"


def test_parts_of_the_source_are_flags_too(folder):
    """A split of files is train or nothing, however it is said."""
    assert hf_rap("inspect", "planted.parquet", "--split", "train", "--json", cwd=folder).returncode == 0
    for words in (["planted.parquet#test"], ["planted.parquet", "--split", "test"]):
        done = hf_rap("inspect", *words, cwd=folder)
        assert done.stderr.strip().splitlines()[-1] == (
            "hf-rap: planted.parquet#test: files have no splits; leave out #test."
        )


def test_every_row_keeps_its_columns_through_the_steps(folder):
    """The last file has the user's columns, evidence, scores and decisions."""
    planted = Dataset.from_parquet(str(folder / "planted.parquet"))
    selection = Dataset.from_parquet(str(folder / "selection.parquet"))
    assert selection.select_columns(planted.column_names).to_list() == planted.to_list()
    assert {"rap_id", "rap_image_rewards", "rap_cde", "rap_difficulty", "rap_keep", "rap_reason"} <= set(
        selection.column_names
    )


@pytest.mark.slow
def test_published_version_opens_and_remembers_its_source(folder, tmp_path):
    """Rows selected are rows kept, and the card names the first source, not the file in between."""
    target = tmp_path / "version"
    done = hf_rap("publish", "selection.parquet", "--to-folder", str(target), "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    selection = Dataset.from_parquet(str(folder / "selection.parquet"))
    selected = load_dataset(str(target), "selected", split="train")
    assert len(selected) == told["selected"] == sum(selection["rap_keep"])
    assert json.loads((target / "rap.json").read_text())["facts"]["source"]["id"] == "planted.parquet"


@pytest.mark.slow
def test_a_fault_in_a_process_of_its_own(tmp_path):
    """Exit code, streams and no traceback, as a shell sees them."""
    words = [sys.executable, "-m", "hf_rap", "inspect", "nowhere.parquet"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("hf-rap: nowhere.parquet was not found")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_run_is_the_four_steps_in_one(folder, tmp_path):
    """The same rows are kept for the same options."""
    done = hf_rap("run", "planted.parquet", *MODEL, "--keep-easy", "--to-folder", str(tmp_path / "version"), cwd=folder)
    assert done.returncode == 0, done.stderr
    kept = load_dataset(str(tmp_path / "version"), "scored", split="train")["rap_keep"]
    assert kept[:] == Dataset.from_parquet(str(folder / "selection.parquet"))["rap_keep"][:]
    assert "Selection: " in done.stdout


GRADER = """
from hf_rap import grader

@grader(version="2")
def short(reply, gold, question):
    return 1 / len(reply.split())

class Any:
    version = "3"
    def __call__(self, reply, gold, question):
        return True
"""


@pytest.mark.slow
def test_a_grader_of_the_users_own(folder):
    """A module of the working folder; a class is called without arguments; faults say where was looked."""
    (folder / "my_graders.py").write_text(GRADER)
    few = ["rollouts", "planted.parquet", *MODEL, "--attempts", "1", "--out", "own.parquet"]
    done = hf_rap(*few, "--verifier", "my_graders:short", "--correct", "0.1", "--cut", "graded", cwd=folder)
    assert done.returncode == 0, done.stderr
    own = Dataset.from_parquet(str(folder / "own.parquet"))
    assert own["rap_image_rewards"][0][0] == 1 / len(own["rap_image_responses"][0][0].split())
    settings = json.loads(own["rap_settings"][0])
    assert [settings[name] for name in ("verifier", "verifier_version", "correct", "cut")] == [
        "short",
        "2",
        0.1,
        "graded",
    ]
    for words, message in {
        "my_graders:Any": None,
        "my_graders": "The grader 'my_graders' is named wrongly: it takes module:attribute, such as my_graders:anls.",
        "nowhere:short": "The grader nowhere:short cannot be imported: there is no module 'nowhere' in ",
        "my_graders:long": "The grader my_graders:long is not there: my_graders (",
    }.items():
        done = hf_rap(*few[:-1], "x.parquet", "--verifier", words, "--dry-run", "1", cwd=folder)
        assert done.returncode == (message is not None), done.stderr
        assert (message or "") in done.stderr


@pytest.mark.slow
def test_scoring_grades_again(folder):
    """Without a model: another grader, then the built-in one; a threshold alone grades nothing; what belongs together."""
    (folder / "my_graders.py").write_text(GRADER)
    score = ["score", "evidence.parquet", "--out", "again.parquet", "--json"]
    told = json.loads(hf_rap(*score, "--regrade", "--verifier", "my_graders:Any", cwd=folder).stdout)
    evidence, again = (Dataset.from_parquet(str(folder / f"{name}.parquet")) for name in ("evidence", "again"))
    wrong = sum(
        reward == 0 for arm in ("image", "text") for row in evidence[f"rap_{arm}_rewards"] for reward in row or ()
    )
    assert (told["graded by"], told["grades that changed"]) == ("Any 3", wrong)
    assert {difficulty for difficulty in again["rap_difficulty"] if difficulty is not None} == {0.0}
    told = json.loads(
        hf_rap("score", "again.parquet", "--regrade", "--out", "back.parquet", "--json", cwd=folder).stdout
    )
    assert told["grades that changed"] == wrong
    back = Dataset.from_parquet(str(folder / "back.parquet"))
    assert back["rap_image_rewards"][:] == evidence["rap_image_rewards"][:]
    assert back["rap_cde"][:] == Dataset.from_parquet(str(folder / "scored.parquet"))["rap_cde"][:]
    score += ["--overwrite"]
    assert hf_rap(*score, "--correct", "0.5", cwd=folder).returncode == 0
    half = Dataset.from_parquet(str(folder / "again.parquet"))
    assert {json.loads(text)["correct"] for text in half["rap_settings"] if text} == {0.5}
    for words in (["--verifier", "my_graders:Any"], ["--cut", "unknown"], ["--bis", "--regrade"]):
        assert hf_rap(*score, *words, cwd=folder).returncode == 2


@pytest.mark.slow
def test_adaptive_keeps_the_same_rows_with_fewer_attempts(folder, tmp_path):
    """`run --adaptive exact` selects what all attempts select, says what it spared, and the card says so too."""
    target = tmp_path / "spared"
    words = ["run", "planted.parquet", *MODEL, "--keep-easy", "--adaptive", "exact", "--to-folder", str(target)]
    done = hf_rap(*words, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Attempts spared: " in done.stdout
    selected = load_dataset(str(target), "selected", split="train")
    assert (
        selected["id"][:]
        == Dataset.from_parquet(str(folder / "selection.parquet")).filter(lambda keep: keep, input_columns="rap_keep")[
            "id"
        ][:]
    )
    told = json.loads((target / "rap.json").read_text())["facts"]["adaptive"]
    assert f"{told['attempts_spared']:,} were not made" in (target / "README.md").read_text()


@pytest.mark.slow
def test_dry_run_estimates_and_writes_nothing(folder, tmp_path):
    """Four rows are timed; the target folder does not appear."""
    target = tmp_path / "version"
    words = ["run", "planted.parquet", *MODEL, "--to-folder", str(target), "--dry-run", "4", "--json"]
    found = json.loads(hf_rap(*words, cwd=folder).stdout)
    assert (found["rows_measured"], found["rows"]) == (4, 40)
    assert not target.exists()


def test_select_prints_rule_funnel_and_reasons(folder):
    """As JSON, for programs."""
    done = hf_rap("select", "scored.parquet", "--min-cde", "q0.5", "--json", cwd=folder)
    told = json.loads(done.stdout)
    assert told["rule"]["asked"]["min_cde"] == "q0.5"
    assert told["funnel"]["rows"] == sum(told["reasons"].values()) == 40


@pytest.mark.slow
def test_health_is_told_wherever_rows_were_answered(folder, tmp_path):
    """In one line at the end of select and publish, as JSON, and on the card; for rows of this folder nothing is cut off."""
    line = re.compile(
        r"^Health: never solved \d+%, always solved \d+%, replies cut off 0%, without an answer 0%", re.MULTILINE
    )
    printed = hf_rap("select", "scored.parquet", "--min-cde", "0.2", cwd=folder).stdout
    assert line.search(printed)
    told = json.loads(hf_rap("select", "scored.parquet", "--min-cde", "0.2", "--json", cwd=folder).stdout)["health"]
    assert told["agreement"] is not None
    assert all(sentence in printed for sentence in told["advice"])
    target = tmp_path / "version"
    assert line.search(hf_rap("publish", "selection.parquet", "--to-folder", str(target), cwd=folder).stdout)
    card = (target / "README.md").read_text()
    section = card[card.index("<summary>Health") : card.index("<summary>Stability")]
    facts = json.loads((target / "rap.json").read_text())["facts"]["health"]
    assert f"Never solved: {100 * facts['never_solved']:.1f} %." in section
    assert all(f"- {sentence}"[:30] in section for sentence in facts["advice"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["inspect", "nowhere.parquet"], "nowhere.parquet was not found"),
        (["score", "planted.parquet", "--out", "x.parquet"], "CDEScore reads column 'rap_image_rewards'"),
        (["select", "planted.parquet"], "reads column 'rap_cde'"),
        (["publish", "scored.parquet", "--to-folder", "x"], "or `hf-rap select`"),
        (["publish", "planted.parquet", "--to-folder", "v"], "reads column 'rap_keep'"),
        (["rollouts", "evidence.parquet", *MODEL, "--out", "x.parquet"], "Rollouts would overwrite 'rap_id'"),
        (["rollouts", "planted.parquet", *MODEL, "--out", "x.txt"], "ends in .parquet"),
        (["rollouts", "planted.parquet", "--model", "./none", "--out", "x.parquet"], "There is no folder './none'"),
        (
            ["rollouts", "planted.parquet", *MODEL, "--attempts", "0", "--out", "x.parquet"],
            "attempts is 0: it takes a whole number of 1 or more",
        ),
        (["run", "planted.parquet", *MODEL, "--to-folder", "."], "There is something at ."),
        (["select", "scored.parquet", "--budget", "many"], "--budget takes a number of rows"),
        (["select", "scored.parquet", "--method", "best"], "method is 'best': it takes one of rap"),
        (["demo", "--out", "."], "There is something at ."),
    ],
)
def test_faults_are_one_line_on_stderr(folder, words, message):
    """Exit code 1, nothing on stdout, no traceback."""
    done = hf_rap(*words, cwd=folder)
    assert done.returncode == 1
    assert done.stdout == ""
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("hf-rap: ")
    assert message in last
    assert "Traceback" not in done.stderr


LONG = ["--model", "./none", "--max-new-tokens", "8"]


@pytest.mark.parametrize(
    "words",
    [
        ["rollouts", "planted.parquet", *LONG],
        ["attention", "evidence.parquet", "--model", "./none"],
        ["annotate-steps", "evidence.parquet", *LONG],
        ["likelihood", "evidence.parquet", "--model", "./none"],
        ["controls", "evidence.parquet", "--model", "./none"],
        ["score", "nowhere.parquet"],
        ["select", "nowhere.parquet"],
    ],
    ids=lambda words: words[0],
)
def test_a_file_that_cannot_be_written_is_refused_at_once(folder, words, tmp_path):
    """Before the source is read, and before a model that does not exist is looked for."""
    (tmp_path / "a.parquet").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "file").chmod(0o755)
    faults = {
        tmp_path / "x.txt": "give a file name that ends in .parquet, or a folder",
        tmp_path / "a.parquet": "is a folder",
        tmp_path / "file" / "x.parquet": f"cannot be written: {tmp_path / 'file'} is no folder",
    }
    for out, message in faults.items():
        done = hf_rap(*words, "--out", str(out), cwd=folder)
        assert done.returncode == 1
        assert done.stderr.startswith(f"hf-rap: {out}")
        assert message in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["rollouts", "planted.parquet"],
        ["rollouts", "planted.parquet", *MODEL, "--agreement", "0.8", "--out", "x.parquet"],
        ["run", "planted.parquet", *MODEL, "--adaptive", "sequential", "--to-folder", "x"],
        ["run", "planted.parquet", *MODEL],
        ["select"],
        ["nonsense"],
    ],
)
def test_wrong_usage_is_exit_code_2(words):
    """As click has it."""
    assert CliRunner().invoke(cli, words).exit_code == 2


def test_the_list_of_commands_is_one_line_each():
    """Every file with a command is in it, and its line fits a terminal of 80 columns, whole."""
    files = {path.stem for path in COMMAND_FILES.glob("*.py") if "\n@command(" in path.read_text()}
    assert {name.replace("-", "_") for name in COMMANDS} == files
    shown = CliRunner().invoke(cli, ["--help"]).output.splitlines()
    listed = [line.strip() for line in shown[shown.index("Start:") :] if line.startswith("  ")]
    assert listed == [f"{name:<14}  {text}" for name, text in COMMANDS.items()]
    assert [line.rstrip(":") for line in shown[shown.index("Start:") :] if line.endswith(":")] == list(GROUPS)


def test_a_mistyped_command_is_answered_as_click_does():
    """With the near ones, where this click suggests some."""
    plain = click.Group("hf-rap", commands={name: click.Command(name) for name in COMMANDS})
    said, expected = (CliRunner().invoke(group, ["rollout"]).output.splitlines()[-1] for group in (cli, plain))
    assert said == expected
    assert said.startswith("Error: No such command 'rollout'.")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_and_the_python_call(name):
    """Each command shows one line to copy and what it is in Python."""
    shown = CliRunner().invoke(cli, [name, "--help"]).output
    assert re.search(rf"Example: hf-rap (--plugin \S+ )?{name}", shown)
    assert "In Python: " in shown


@pytest.mark.parametrize(
    ("name", "titles", "rest"),
    [
        (
            "run",
            "Source Columns Model vLLM Server Sampling Run_folder Grading Selection Fewer_attempts Version",
            "--dry-run --json --help",
        ),
        (
            "rollouts",
            "Source Columns Model vLLM Server Sampling Grading Run_folder Selection Fewer_attempts",
            "--out --overwrite --dry-run --gpu-hour-price --json --help",
        ),
    ],
)
def test_the_options_of_a_long_command_are_grouped(name, titles, rest):
    """By what they are about; what is left is about what comes out."""
    shown = CliRunner().invoke(cli, [name, "--help"]).output
    headings = [heading.replace(" ", "_") for heading in re.findall(r"^(\w[\w ]*):$", shown, re.MULTILINE)]
    assert headings == [*titles.split(), "Options"]
    assert re.findall(r"^  (?:-h, )?(--[\w-]+)", shown.split("\nOptions:\n")[1], re.MULTILINE) == rest.split()


def test_arguments_are_no_options():
    """SOURCE stands in the line of usage alone."""
    shown = CliRunner().invoke(cli, ["select", "--help"]).output
    assert [line.strip() for line in shown.splitlines() if "SOURCE" in line and not line.startswith("  --")] == [
        "Usage: cli select [OPTIONS] SOURCE",
        "Decide for every row of SOURCE whether to keep it, and why.",
    ]


@pytest.mark.slow
def test_demo_runs_offline_in_a_process_of_its_own(tmp_path):
    """The whole job in an empty folder, without a Hub to ask; the version opens."""
    words = [sys.executable, "-m", "hf_rap", "demo", "--rows", "60", "--attempts", "3"]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(words, cwd=tmp_path, env=offline, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Selection: " in done.stdout
    assert "of the kept rows cannot be answered without their picture" in done.stdout
    assert len(load_dataset(str(tmp_path / "rap-demo"), "scored", split="train")) == 60


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--engine", "vllm", "--device", "cuda:1"], "--device is not for --engine vllm"),
        (["--engine", "vllm", "--batch-size", "8"], "--batch-size is not for --engine vllm"),
        (["--engine", "vllm", "--endpoint", "http://host/v1"], "--endpoint is not for --engine vllm"),
        (["--data-parallel", "2"], "--data-parallel is for --engine vllm"),
        (["--endpoint", "http://host/v1", "--max-model-len", "64"], "--max-model-len is for --engine vllm"),
        (["--engine", "endpoint"], "--engine endpoint needs --endpoint URL"),
    ],
)
def test_options_of_another_engine_are_refused(words, says):
    """Before a model is looked for."""
    from hf_rap.cli.options import make_engine
    from hf_rap.cli.rollouts import rollouts

    with pytest.raises(click.UsageError, match=says):
        make_engine(rollouts.make_context("rollouts", ["rows.parquet", "--model", "m", *words]).params)


def test_options_of_vllm_become_fields_and_arguments():
    """What has a field goes there, the rest to vLLM; the demo's model has its name here as well."""
    from hf_rap.cli.options import make_engine
    from hf_rap.cli.rollouts import rollouts

    words = [
        "--engine",
        "vllm",
        "--model",
        "demo",
        "--data-parallel",
        "8",
        "--max-model-len",
        "4096",
        "--dtype",
        "bfloat16",
    ]
    words += ["--vllm-options", '{"quantization": "fp8", "enforce_eager": true}']
    engine = make_engine(rollouts.make_context("rollouts", ["rows.parquet", *words]).params)
    assert engine == VLLMEngine(
        str(GRID),
        data_parallel_size=8,
        max_model_len=4096,
        dtype="bfloat16",
        enforce_eager=True,
        options={"quantization": "fp8"},
    )
