"""A run folder: resume, top-up, other rows, other settings, and what is not trusted."""

import io
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import fsspec
import pyarrow as pa
import pytest
from datasets import Dataset
from fsspec.implementations.memory import MemoryFileSystem
from stubs import evidence_rows, lines, make_rows, stub_rollouts

from hf_rap import Rollouts, collect_evidence, collect_in_run, list_runs
from hf_rap.cli import cli
from hf_rap.errors import RapDeprecationWarning, RunError, SettingError
from hf_rap.rows.prompts import PromptTemplate
from hf_rap.rows.questions import stored_digest
from hf_rap.rows.recognition import recognise_layout
from hf_rap.runs.fill import Run
from hf_rap.runs.folder import RunFolder, Unusable, fingerprint_of


def test_a_run_gives_the_same_as_one_go(run):
    """Values, order and types are those of collect_evidence."""
    ds = make_rows(40)
    through_run = collect_in_run(ds, stub_rollouts(), run, rows_per_part=7)
    in_one_go = collect_evidence(ds, stub_rollouts())
    assert through_run.features == in_one_go.features
    assert through_run.to_list() == in_one_go.to_list()


def test_a_second_call_asks_nothing(run, log):
    """What is there is read, not computed."""
    ds = make_rows(20)
    first = collect_in_run(ds, stub_rollouts(log=log), run)
    asked = lines(log)
    second = collect_in_run(ds, stub_rollouts(log=log), run)
    assert lines(log) == asked
    assert second.to_list() == first.to_list()


@pytest.mark.parametrize("ids", [True, False])
def test_added_dropped_and_shuffled_rows_reuse_what_is_there(run, log, ids):
    """Only rows that the run has never seen are asked, with ids of the user's and without."""
    collect_in_run(make_rows(20, ids=ids), stub_rollouts(log=log), run)
    before = len(lines(log))
    ds = make_rows(25, start=5, ids=ids).shuffle(seed=3)
    evidence = collect_in_run(ds, stub_rollouts(log=log), run)
    # rows 20 to 24; 20 has an unreadable gold (20 % 7 = 6), 21 no image (21 % 11 = 10), so 4 rows, one with one arm;
    # rows 25 to 29: 27 has an unreadable gold. 3 x 2 + 1 + 4 x 2 = 15 prompts.
    assert len(lines(log)) - before == 15
    assert evidence.to_list() == collect_evidence(ds, stub_rollouts()).to_list()


def test_more_attempts_top_up(run, log):
    """From 2 to 5 only attempts 2, 3 and 4 are asked, and the whole is that of one go; fewer are a part of it."""
    ds = make_rows(20)
    collect_in_run(ds, stub_rollouts(2), run)
    evidence = collect_in_run(ds, stub_rollouts(5, log=log), run)
    assert {line.split(" ", 2)[2] for line in lines(log)} == {"2 3"}
    assert evidence.to_list() == collect_evidence(ds, stub_rollouts(5)).to_list()
    assert collect_in_run(ds, stub_rollouts(3), run).to_list() == collect_evidence(ds, stub_rollouts(3)).to_list()


def test_equal_rows_are_asked_once(run, log):
    """Rows of the same content and id share their evidence."""
    ds = make_rows(1)
    import datasets

    evidence = collect_in_run(datasets.concatenate_datasets([ds, ds, ds]), stub_rollouts(log=log), run)
    assert len(lines(log)) == 2
    assert evidence[0]["rap_image_responses"] == evidence[2]["rap_image_responses"]


def test_other_settings_never_mix(run):
    """Another model, temperature or instruction is another fingerprint; another torch is not."""
    ds = make_rows(10)
    collect_in_run(ds, stub_rollouts(), run)
    collect_in_run(ds, stub_rollouts(name="other"), run)
    collect_in_run(ds, Rollouts(stub_rollouts().engine, attempts=3, temperature=0.5), run)
    collect_in_run(ds, Rollouts(stub_rollouts().engine, attempts=3, prompt=PromptTemplate(suffix="?")), run)
    held = list_runs(run)
    assert sorted((one.model, one.settings["temperature"], one.rows) for one in held) == [
        ("other", 1.0, 10),
        ("stub", 0.5, 10),
        ("stub", 1.0, 10),
        ("stub", 1.0, 10),
    ]
    here, there = ({"a": 1, "torch": torch, "not_counted": ["torch"]} for torch in ("1", "2"))
    assert fingerprint_of(here) == fingerprint_of(there) == fingerprint_of({"a": 1})
    assert fingerprint_of({"a": 1}) != fingerprint_of({"a": 2})


def test_the_prompt_tells_runs_apart(run, log):
    """Every part of it; equal prompts are one, whatever they are called, and the old option is the same run."""
    ds = make_rows(1)
    template = PromptTemplate("Be brief.", "Q: ", "?", {"enable_thinking": False})
    changed = [
        {"system": None},
        {"prefix": ""},
        {"suffix": ""},
        {"chat_template_kwargs": {"enable_thinking": True}},
        {"chat_template_kwargs": {}},
    ]
    prompts = [template, *(replace(template, **one) for one in changed), "verl", "easyr1", PromptTemplate(suffix="!")]
    for prompt in prompts:
        collect_in_run(ds, Rollouts(stub_rollouts(log=log).engine, attempts=1, prompt=prompt), run)
    with pytest.warns(RapDeprecationWarning):
        old = Rollouts(stub_rollouts(log=log).engine, attempts=1, instruction="!")
    collect_in_run(ds, old, run)
    assert len(list_runs(run)) == len(prompts) - 1
    assert len(lines(log)) == 2 * (len(prompts) - 1)


def test_rows_that_differ_in_their_system_turn_alone_are_asked_apart(run, log):
    """Where it is sent; where it is not they are one row, as they were."""
    chats = [
        {
            "messages": [{"role": "system", "content": said}, {"role": "user", "content": "1?"}],
            "answer": "1",
            "images": [],
        }
        for said in ("Be brief.", "Be kind.")
    ]
    ds = Dataset.from_list(chats)
    for keep, asked in ((True, 2), (False, 1)):
        Path(log).unlink(missing_ok=True)
        prompt = PromptTemplate(keep_system=keep)
        rollouts = Rollouts(stub_rollouts(log=log).engine, attempts=1, arm="text", prompt=prompt)
        evidence = collect_in_run(ds, rollouts, run)
        assert len(lines(log)) == asked
        assert len(set(evidence["rap_id"])) == 1
        Path(log).unlink()
        Path(log).touch()
        collect_in_run(ds, rollouts, run)
        assert lines(log) == []


def test_a_run_under_ids_of_an_earlier_release_says_so_and_goes_on_with_these(run, log):
    """An earlier release made the id of a row without one of its files: that is a run of rows with these ids."""
    unnamed = make_rows(5, ids=False)
    layout = recognise_layout(unnamed.features)
    stored = unnamed.with_format("arrow")[:].to_pylist()
    old_ids = [stored_digest(row, layout) for row in stored]
    named = unnamed.remove_columns("id").add_column("id", old_ids)
    old = collect_in_run(named, stub_rollouts(2), run)
    message = (
        r"5 of these rows are in the run '.*' under ids that an earlier release made of the files of their pictures "
        rf"\(the first is '{old_ids[0]}'\).* start a new run, or give the rows their ids of then as a column `id`"
    )
    with pytest.raises(RunError, match=message):
        collect_in_run(unnamed, stub_rollouts(2), run)
    more = collect_in_run(named, stub_rollouts(3, log=log), run)
    assert {line.split(" ", 2)[2] for line in lines(log)} == {"2 1"}
    assert [row[:2] for row in more["rap_image_responses"]] == old["rap_image_responses"][:]


@pytest.mark.parametrize(
    ("name", "one", "other"), [("verifier", "1", "2"), ("cut", "wrong", "unknown"), ("max_new_tokens", 8, 64)]
)
def test_grades_and_limits_tell_runs_apart_only_where_replies_are_not_kept(name, one, other):
    """Step scores keep no replies, so theirs cannot be graded again and cannot go on."""
    replies, steps = {"writes": ["rap_image_responses"]}, {"writes": ["steps_with_score"]}
    assert fingerprint_of({**replies, name: one}) == fingerprint_of({**replies, name: other})
    assert fingerprint_of({**steps, name: one}) != fingerprint_of({**steps, name: other})


def test_a_row_that_changed_under_its_id_is_done_again(run, log, caplog):
    """The id is the same, the question is not: old evidence is not used, and this is said."""
    collect_in_run(make_rows(5), stub_rollouts(), run)
    evidence = collect_in_run(make_rows(5, question="How few?"), stub_rollouts(log=log), run)
    assert len(lines(log)) == 10
    assert "5 rows went through this run with other content" in caplog.text
    assert evidence.to_list() == collect_evidence(make_rows(5, question="How few?"), stub_rollouts()).to_list()


def damage_torn(part):
    part.write_bytes(part.read_bytes()[:-100])


def damage_bit(part):
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)


def damage_foreign(part):
    part.rename(part.with_name("train-00000-of-00001.parquet"))


def damage_swapped(part):
    part.write_bytes(b"PAR1 nothing PAR1")


@pytest.mark.parametrize("damage", [damage_torn, damage_bit, damage_foreign, damage_swapped])
def test_a_damaged_part_is_reported_and_redone(run, log, caplog, damage):
    """Whatever happened to a part, its rows are asked again and the evidence is right."""
    ds = make_rows(20)
    collect_in_run(ds, stub_rollouts(), run, rows_per_part=10)
    part = min(Path(run).glob("*/*.parquet"))
    damage(part)
    evidence = collect_in_run(ds, stub_rollouts(log=log), run, rows_per_part=10)
    assert "is not used, its rows are done again" in caplog.text
    assert 0 < len(lines(log)) <= 20
    assert evidence.to_list() == collect_evidence(ds, stub_rollouts()).to_list()
    (held,) = list_runs(run)
    assert (held.rows, held.parts) == (20, 2)


def test_a_part_of_another_schema_is_not_trusted(run):
    """Right name, right hash, wrong columns or wrong fingerprint."""
    folder = RunFolder(run, create=True)
    schema = pa.schema([("run_key", pa.string()), ("rap_error", pa.string())])
    name = folder.write_part("0" * 16, pa.table({"run_key": ["a"]}), first=0, stop=1)
    found = folder.read_part("0" * 16, name, schema)
    assert isinstance(found, Unusable)
    assert found.why == "another schema: no column 'rap_error' of type string"
    shutil.copy(Path(run) / ("0" * 16) / name, Path(run) / name)
    (Path(run) / ("1" * 16)).mkdir()
    shutil.copy(Path(run) / name, Path(run) / ("1" * 16) / name)
    assert "says {'format': 2, 'fingerprint': '0000000000000000'}" in folder.read_part("1" * 16, name).why


def test_a_run_of_another_format_is_refused(run):
    """With both numbers and what to do."""
    RunFolder(run, create=True)
    (Path(run) / "run.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(RunError, match=r"has format 1, this hf_rap reads 2: use the hf_rap that wrote it"):
        collect_in_run(make_rows(2), stub_rollouts(), run)


def test_a_folder_with_other_things_is_refused(tmp_path):
    """Nothing is written into somebody's documents."""
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match=r"is not a run and not empty \(it has thesis.tex\)"):
        collect_in_run(make_rows(2), stub_rollouts(), str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(RunError, match="There is no run at"):
        list_runs(str(tmp_path / "nothing"))


def test_errors_are_retried_on_request_only(run, log, tmp_path):
    """A failed row stays failed, until --retry-errors; then the good evidence counts for ever."""
    ds = make_rows(20)
    cured = tmp_path / "cured"
    options = {"fails_on": "(3)", "stop_file": str(cured), "log": log}
    first = collect_in_run(ds, stub_rollouts(**options), run)
    assert first[3]["rap_error"] == "engine_failed: ValueError: scripted"
    asked = len(lines(log))
    cured.touch()
    assert collect_in_run(ds, stub_rollouts(**options), run)[3]["rap_error"] is not None
    assert len(lines(log)) == asked
    retried = collect_in_run(ds, stub_rollouts(**options), run, retry_errors=True)
    assert {line.split()[0] for line in lines(log)[asked:]} == {"row-00003"}
    assert retried.to_list() == collect_evidence(ds, stub_rollouts()).to_list()
    assert collect_in_run(ds, stub_rollouts(**options), run).to_list() == retried.to_list()


def test_a_run_that_is_broken_as_a_whole_stops(run):
    """More failures than max_errors end the run with the first of them; what is done stays."""
    ds = make_rows(200)
    with pytest.raises(RunError, match=r"40 of 40 rows failed, more than max_errors=0.5.*ValueError: scripted"):
        collect_in_run(ds, stub_rollouts(fails_on="How"), run, rows_per_part=40)
    (held,) = list_runs(run)
    assert (held.rows, held.failed) == (40, 40)


def test_a_share_of_errors_may_be_reached_and_not_passed(run):
    """5 of 40 rows have a gold that cannot be read: an eighth allows them, a tenth and none do not."""
    ds = make_rows(40)
    for share in (0.1, 0):
        with pytest.raises(RunError, match=f"^5 of 40 rows failed, more than max_errors={share} allows"):
            collect_in_run(ds, stub_rollouts(), f"{run}-{share}", rows_per_part=40, max_errors=share)
    evidence = collect_in_run(ds, stub_rollouts(), run, rows_per_part=40, max_errors=0.125)
    assert evidence.to_list() == collect_evidence(ds, stub_rollouts()).to_list()


def test_impossible_options_are_refused(run):
    """Before a folder is made."""
    with pytest.raises(SettingError, match="max_errors is 5: it takes a number between 0 and 1"):
        collect_in_run(make_rows(2), stub_rollouts(), run, max_errors=5)
    with pytest.raises(SettingError, match="rows_per_part is 0: it takes a whole number of 1 or more"):
        collect_in_run(make_rows(2), stub_rollouts(), run, rows_per_part=0)
    assert not Path(run).exists()


@pytest.mark.parametrize("url", ["memory://a-run", "file"])
def test_other_file_systems_hold_runs_too(url, tmp_path):
    """Resume over memory:// and file:// as over a path."""
    url = f"file://{tmp_path}/run" if url == "file" else url
    ds = make_rows(20)
    collect_in_run(ds.select(range(12)), stub_rollouts(2), url, rows_per_part=5)
    evidence = collect_in_run(ds, stub_rollouts(3), url, rows_per_part=5)
    assert evidence.to_list() == collect_evidence(ds, stub_rollouts(3)).to_list()


class FullDisk(MemoryFileSystem):
    """Has room for five files, and for leases."""

    protocol = "fulldisk"
    store: ClassVar[dict] = {}
    pseudo_dirs: ClassVar[list] = [""]
    room = 5

    def pipe_file(self, path, value, mode="overwrite", **options):
        if len(self.store) >= self.room and "/writers/" not in path:
            raise OSError(28, "No space left on device", path)
        super().pipe_file(path, value, mode=mode, **options)


def test_a_full_disk_stops_the_run_and_loses_nothing():
    """The message says what to do; with room again the run goes on where it was."""
    fsspec.register_implementation("fulldisk", FullDisk, clobber=True)
    ds = make_rows(50)
    with pytest.raises(RunError, match=r"Cannot write .*: No space left on device.*start the same command again"):
        collect_in_run(ds, stub_rollouts(), "fulldisk://run", rows_per_part=10)
    FullDisk.room = 100
    (held,) = list_runs("fulldisk://run")
    assert 0 < held.rows < 50
    assert collect_in_run(ds, stub_rollouts(), "fulldisk://run").to_list() == (
        collect_evidence(ds, stub_rollouts()).to_list()
    )


def test_an_unwritable_folder_is_found_before_the_model_is_loaded(tmp_path):
    """A file stands where the folder should be; the model does not exist and is not asked for."""
    from hf_rap import TransformersEngine

    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match=r"Cannot write run\.json into the run"):
        collect_in_run(make_rows(2), Rollouts(TransformersEngine("nobody/nothing")), str(tmp_path / "file" / "run"))


def test_clock_skew_does_not_matter(run, monkeypatch):
    """Files from the future and leases from the past change nothing: clocks are never compared."""
    ds = make_rows(20)
    collect_in_run(ds.select(range(10)), stub_rollouts(), run)
    for path in Path(run).rglob("*"):
        os.utime(path, (4e9, 4e9))
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert collect_in_run(ds, stub_rollouts(), run).to_list() == collect_evidence(ds, stub_rollouts()).to_list()


def test_leftovers_of_killed_processes_are_swept(run):
    """Half-written files go when the run is next opened by one writer."""
    collect_in_run(make_rows(2), stub_rollouts(), run)
    fingerprint = list_runs(run)[0].fingerprint
    (Path(run) / fingerprint / ".0123.partial").write_bytes(b"half")
    collect_in_run(make_rows(2), stub_rollouts(), run)
    assert not list(Path(run).rglob("*.partial"))


def test_progress_is_one_line_a_minute_without_a_terminal(run, monkeypatch):
    """In a log file there is the last line, and others only after a minute."""
    out = io.StringIO()
    logged = []
    with Run(make_rows(40), stub_rollouts(), run, rows_per_part=4, progress=out, log=logged.append) as running:
        running.fill()
    (line,) = out.getvalue().splitlines()
    assert line.startswith("rollouts: 40 of 40 rows, 5 failed, ")
    assert [one["rows_done"] for one in logged] == [40]
    assert set(logged[0]) == {"rows_done", "rows_failed", "rows_per_second", "tokens_per_second", "seconds_left"}
    monkeypatch.setattr("hf_rap.runs.progress.SECONDS_BETWEEN_LINES", 0.0)
    out = io.StringIO()
    with Run(make_rows(40), stub_rollouts(name="b"), run, rows_per_part=10, progress=out) as running:
        running.fill()
    assert len(out.getvalue().splitlines()) == 4


def test_attention_goes_through_a_run_too(run):
    """Columns of attention are topped up and merged like the others, under a fingerprint of their own."""
    from hf_rap.demo import demo_engine, make_planted

    planted = make_planted(12)

    def rollouts(attempts, *, attention=True):
        return Rollouts(demo_engine(), attempts=attempts, max_new_tokens=24, attention=attention)

    collect_in_run(planted, rollouts(1, attention=False), run)
    collect_in_run(planted, rollouts(1), run)
    through_run = collect_in_run(planted, rollouts(2), run).remove_columns("images")
    in_one_go = collect_evidence(planted, rollouts(2)).remove_columns("images")
    assert through_run.features == in_one_go.features
    attention = [name for name in through_run.column_names if "attention" in name]
    assert len(attention) >= 2
    assert through_run.remove_columns(attention).to_list() == in_one_go.remove_columns(attention).to_list()
    lengths = [[one and len(one) for one in ds["rap_attention"]] for ds in (through_run, in_one_go)]
    assert lengths[0] == lengths[1]
    assert len(list_runs(run)) == 2


def test_evidence_by_id_covers_every_row(run):
    """evidence_rows is what other tests compare by."""
    ds = make_rows(9)
    assert list(evidence_rows(collect_in_run(ds, stub_rollouts(), run))) == ds["id"][:]


def test_the_command_fills_lists_and_tops_up(tmp_path):
    """hf-rap rollouts --run, then hf-rap runs, on the built-in model."""
    from click.testing import CliRunner

    from hf_rap.demo import make_planted

    make_planted(12).to_parquet(tmp_path / "rows.parquet")
    run, out = tmp_path / "run", tmp_path / "evidence.parquet"
    command = ["rollouts", str(tmp_path / "rows.parquet"), "--model", "demo", "--run", str(run)]
    command += ["--max-new-tokens", "32", "--json"]
    done = CliRunner().invoke(cli, [*command, "--attempts", "1"], catch_exceptions=False)
    assert json.loads(done.stdout)["rows"] == 12
    done = CliRunner().invoke(cli, [*command, "--attempts", "2", "--out", str(out)], catch_exceptions=False)
    result = json.loads(done.stdout)
    assert set(result.pop("health")) >= {"never_solved", "always_solved", "advice"}
    assert result == {
        "rows": 12,
        "rows with rap_error": 1,
        "cut replies with the image": 0.0,
        "cut replies on the text alone": 0.0,
        "file": str(out),
        "run": str(run),
    }
    listed = CliRunner().invoke(cli, ["runs", str(run)], catch_exceptions=False).stdout
    assert "  12 rows, 1 failed, 2 attempts, 2 parts (temperature 1.0," in listed
