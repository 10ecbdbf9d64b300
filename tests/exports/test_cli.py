"""`hf-rap export` and `hf-rap pull` do what the functions do, and print it."""

import json

import pytest
from click.testing import CliRunner

from hf_rap import publish_to_folder, select_cognitive
from hf_rap.cli import cli
from hf_rap.cli.files import write_file
from hf_rap.errors import ExportError

from .awkward import awkward, dataset, row


@pytest.fixture
def version(tmp_path):
    ds = awkward().add_column("rap_image_rewards", [[1.0, 0.0]] * 4)
    publish_to_folder(select_cognitive(ds, min_cde=0.2, replace_easy=False), tmp_path / "version")
    return str(tmp_path / "version")


def run(*words: str):
    return CliRunner().invoke(cli, words, catch_exceptions=False)


def test_export_prints_the_lines_to_paste(tmp_path, version):
    """On stdout they alone; the check is a note."""
    done = run("export", version, "--to", "verl", str(tmp_path / "out"))
    assert done.exit_code == 0
    assert done.stdout.startswith("python3 -m verl.trainer.main_ppo")
    assert f'data.train_files="{tmp_path / "out" / "train.parquet"}"' in done.stdout
    assert f'data.val_files="{tmp_path / "out" / "val.parquet"}"' in done.stdout
    assert "verl: 4 of 4 rows ready" in done.stderr
    assert "held out: 1 row(s) to validate on" in done.stderr


def test_export_takes_gpus_replies_and_rows_to_hold_out(tmp_path, version):
    """They are in the lines; what does not divide is refused in a sentence."""
    words = ("export", version, "--to", "openrlhf", "--gpus", "2", "--group", "4", "--val-rows", "2", "--model", "demo")
    done = run(*words, str(tmp_path / "out"))
    assert "--rollout.batch_size=2 --rollout.n_samples_per_prompt=4" in done.stdout
    assert "--actor.num_gpus_per_node=2" in done.stdout
    assert f"--eval.dataset={tmp_path / 'out' / 'val.parquet'}" in done.stdout
    with pytest.raises(ExportError, match="4 rows with 8 replies each cannot be shared by 5 GPUs"):
        run("export", version, "--to", "trl", "--gpus", "5", str(tmp_path / "other"))
    with pytest.raises(ExportError, match="4 rows are to be held out of 4, so that none is left to train on"):
        run("export", version, "--to", "trl", "--val-rows", "4", str(tmp_path / "other"))


def test_export_without_a_folder_only_checks(tmp_path, version):
    """The table of what would be refused; as JSON too."""
    assert "trl: 4 of 4 rows ready, up to 3 image(s) in one" in run("export", version, "--to", "trl").stdout
    found = run("export", version, "--max-images", "1", "--json")
    assert json.loads(found.stdout)["codes"] == {"too_many_images": 2}
    # So that a script notices; what is left out on purpose is fine.
    codes = [
        run("export", version, *words).exit_code
        for words in ([], ["--max-images", "1"], ["--max-images", "1", "--drop"])
    ]
    assert (found.exit_code, codes) == (1, [0, 1, 0])


def test_export_takes_the_kept_rows_of_a_selection_file(tmp_path):
    """What `hf-rap select --out` wrote."""
    ds = dataset(row("kept", rap_cde=0.9), row("dropped", rap_cde=0.1))
    ds = ds.add_column("rap_image_rewards", [[1.0, 0.0]] * 2)
    write_file(select_cognitive(ds, replace_easy=False), tmp_path / "selection.parquet")
    done = run("export", str(tmp_path / "selection.parquet"), "--json", str(tmp_path / "out"))
    assert json.loads(done.stdout)["handoff"]["ready"] == 1


def test_pull_writes_one_version(tmp_path, version):
    """From a folder as from the Hub."""
    done = run("pull", version, "--version", "1.0.0", "--to", "easyr1", str(tmp_path / "out"))
    assert done.exit_code == 0
    assert (tmp_path / "out" / "train.parquet").is_file()


def test_prompt_tokens_need_a_model(version):
    """One sentence, and no traceback."""
    from hf_rap.errors import SettingError

    with pytest.raises(SettingError, match="needs a model"):
        run("export", version, "--max-prompt-tokens", "100")
    assert run("export", version, "--max-prompt-tokens", "400", "--model", "demo").exit_code == 0
