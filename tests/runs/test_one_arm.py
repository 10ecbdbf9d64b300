"""One arm alone, `Rollouts(arm="image")`: a run asks what a call asks, and the other arm comes later."""

from dataclasses import replace
from pathlib import Path

import pytest
from stubs import make_rows, stub_rollouts

from hf_rap import collect_adaptive, collect_evidence, collect_in_run
from hf_rap.errors import SettingError


def asked(log):
    """The arms that the stub was asked for, once per row."""
    return [line.split(" ")[1] for line in Path(log).read_text().splitlines()]


@pytest.mark.parametrize(("arm", "rows"), [("image", 10), ("text", 11)])
def test_a_run_asks_what_a_call_asks(tmp_path, arm, rows):
    """Nothing in the other arm, whose columns are null in both. Of 12 rows one has no readable gold, and one no image."""
    ds, log = make_rows(12), str(tmp_path / "log")
    rollouts = replace(stub_rollouts(3, log=log), arm=arm)
    in_run = collect_in_run(ds, rollouts, str(tmp_path / "run"))
    assert asked(log) == [arm] * rows
    assert in_run.to_list() == collect_evidence(ds, rollouts).to_list()
    other = "text" if arm == "image" else "image"
    assert in_run[f"rap_{other}_rewards"][:] == [None] * 12
    assert [len(rewards) for rewards in in_run[f"rap_{arm}_rewards"] if rewards is not None] == [3] * rows


def test_the_other_arm_comes_later(tmp_path):
    """Both arms in the same run: only what is missing is asked, and the evidence is that of one go."""
    ds, log, url = make_rows(6), str(tmp_path / "log"), str(tmp_path / "run")
    both = stub_rollouts(3, log=log)
    collect_in_run(ds, replace(both, arm="image"), url)
    assert collect_in_run(ds, both, url).to_list() == collect_evidence(ds, stub_rollouts(3)).to_list()
    assert asked(log) == ["image"] * 6 + ["text"] * 6
    collect_in_run(ds, replace(both, arm="image"), url)
    assert len(asked(log)) == 12


def test_adaptive_attempts_need_both():
    """They are shared between the two arms."""
    with pytest.raises(SettingError, match="arm='image' asks one of them: leave it out"):
        collect_adaptive(make_rows(2), replace(stub_rollouts(3), arm="image"), "exact")
