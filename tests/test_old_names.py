"""What had another name, and works under it for one more release, with a warning that tells the new one."""

from importlib import import_module

import pytest
from click.testing import CliRunner
from datasets import Dataset

import hf_rap
from hf_rap import Exact, Rollouts, collect_adaptive, publish_to_folder, select_cognitive
from hf_rap.cli import cli
from hf_rap.errors import RapDeprecationWarning, SettingError
from hf_rap.options import GOES_AWAY
from hf_rap.version import VERSION

OLD = {**{name: name for name in hf_rap._MOVED_TO}, **hf_rap._RENAMED}


@pytest.mark.parametrize(("old", "new"), OLD.items())
def test_a_name_that_has_moved_is_still_here(old, new):
    """The same object, with its new place."""
    place = f"hf_rap.{hf_rap._MOVED_TO[new]}"
    with pytest.warns(RapDeprecationWarning) as caught:
        thing = getattr(hf_rap, old)
    assert thing is getattr(import_module(place), new)
    assert str(caught[0].message) == (
        f"hf_rap.{old} is now {place}.{new}; the old place goes away in version {GOES_AWAY}."
    )
    assert caught[0].filename == __file__


def test_the_release_that_drops_them_has_not_come():
    """When it has, the tables and this file go."""
    assert tuple(map(int, VERSION.split("."))) < tuple(map(int, GOES_AWAY.split(".")))


def test_rule_of_an_adaptive_collection_is_called_stopping():
    """A rule is what decides which rows are kept."""
    ds = Dataset.from_dict({"rap_adaptive": ["x"]})
    rollouts = Rollouts(hf_rap.TransformersEngine("never-loaded"))
    says = rf"^rule= is now called stopping=; the old name goes away in version {GOES_AWAY}\.$"
    with pytest.warns(RapDeprecationWarning, match=says), pytest.raises(SettingError, match=r"^stopping is 'all': "):
        collect_adaptive(ds, rollouts, rule="all")
    with pytest.raises(SettingError, match=r"^stopping is None: it takes Exact"):
        collect_adaptive(ds, rollouts)
    assert Exact().as_dict()["mode"] == "exact"


def test_control_of_publishing_is_called_random_control(tmp_path):
    """A control is what the image is compared with."""
    columns = {"problem": ["a?", "b?"], "answer": ["1", "2"], "images": [[], []], "rap_cde": [0.8, 0.1]}
    selection = select_cognitive(Dataset.from_dict(columns), replace_easy=False)
    with pytest.warns(RapDeprecationWarning, match="^control= is now called random_control="):
        publish_to_folder(selection, tmp_path / "version", control=True)
    assert (tmp_path / "version" / "control").is_dir()


def test_control_of_the_command_publish_says_its_new_name(tmp_path):
    """On stderr, and does what it did."""
    ran = CliRunner().invoke(cli, ["publish", str(tmp_path / "none.parquet"), "--to-folder", "v", "--control"])
    assert "hf-rap: --control is now called --random-control" in ran.stderr
    ran = CliRunner().invoke(cli, ["publish", str(tmp_path / "none.parquet"), "--to-folder", "v", "--random-control"])
    assert "--control" not in ran.stderr.replace("--random-control", "")


@pytest.mark.parametrize("word", ["--control", "--random-control"])
def test_either_name_publishes_a_control(tmp_path, word):
    """And without one there is none."""
    columns = {"problem": ["a?", "b?"], "answer": ["1", "2"], "images": [[], []], "rap_cde": [0.8, 0.1]}
    scored = tmp_path / "scored.parquet"
    Dataset.from_dict({**columns, "rap_difficulty": [0.2, 0.4]}).to_parquet(scored)
    selection = tmp_path / "selection.parquet"
    for words in (
        ["select", scored, "--keep-easy", "--out", selection],
        ["publish", selection, "--to-folder", tmp_path / "with", word],
        ["publish", selection, "--to-folder", tmp_path / "without"],
    ):
        done = CliRunner().invoke(cli, list(map(str, words)))
        assert done.exit_code == 0, done.output
    assert (tmp_path / "with" / "control").is_dir()
    assert not (tmp_path / "without" / "control").exists()
