"""Versions read back, compared, decided anew and withdrawn."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from datasets import load_dataset

import hf_rap
from hf_rap.cli import cli
from hf_rap.cli.files import write_file
from hf_rap.errors import HubError, SourceError, WithdrawnError
from hf_rap.hub import diff, load, publish, reselect, yank
from hf_rap.select.rap import NOT_ABOVE
from hf_rap.versions.folder import publish_to_folder

REPO = "user/data-rap"


@pytest.fixture
def two_versions(hub, api, select):
    """1.0.0 keeps two rows, 1.1.0 all four."""
    publish(select(min_cde=0.6), REPO, "1.0.0", api=api)
    publish(select(min_cde=0.4), REPO, "1.1.0", api=api)
    hub.reset()


@pytest.fixture
def run(api, monkeypatch):
    """The command line, with the token of the user."""
    monkeypatch.setenv("HF_TOKEN", api.token)

    def run(*words):
        result = CliRunner().invoke(cli, words)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_load_gives_what_load_dataset_gives(hub, api, two_versions, stored):
    """Rows, columns and types, for each config."""
    for config in ("selected", "scored"):
        one = load(REPO, config, version="1.0.0", api=api)
        other = load_dataset(REPO, config, revision="v1.0.0", split="train", token=api.token)
        assert one.features == other.features
        assert stored(one) == stored(other)


@pytest.fixture
def offline(hub, monkeypatch):
    """From the moment it is called, as with HF_HUB_OFFLINE=1; a request would be in the log of the server."""
    import datasets
    from huggingface_hub import constants

    def offline():
        hub.reset()
        for module, name in ((constants, "HF_HUB_OFFLINE"), (datasets.config, "HF_HUB_OFFLINE")):
            monkeypatch.setattr(module, name, True)

    return offline


def test_pinned_version_is_found_offline(hub, api, two_versions, stored, offline, no_waiting):
    """Both, each with its own rows, whole and streamed, though the other was loaded later; nobody is asked or waited for."""
    before = {version: stored(load(REPO, version=version, api=api)) for version in ("1.0.0", "1.1.0")}
    offline()
    for version, rows in before.items():
        assert stored(load(REPO, version=version, api=api)) == rows
        streamed = load(REPO, version=version, streaming=True, api=api)
        assert [row["id"] for row in streamed] == [row["id"] for row in rows]
    assert (hub.log, no_waiting) == ([], [])


def test_load_dataset_takes_another_version_offline(hub, api, two_versions, offline):
    """Which is why the card names hf_rap.load beside it (datasets#7928); a release that mends it fails here."""
    for tag in ("v1.0.0", "v1.1.0"):
        load_dataset(REPO, "selected", revision=tag, split="train", token=api.token)
    offline()
    assert len(load_dataset(REPO, "selected", revision="v1.0.0", split="train")) == 4


def test_offline_says_what_there_is(hub, api, two_versions, offline, no_waiting):
    """Of versions that were never loaded, of configs, and where no version is named."""
    load(REPO, version="1.0.0", api=api)
    offline()
    with pytest.raises(SourceError, match=r"version 1\.1\.0 was never loaded on this machine \(there is: 1\.0\.0\)"):
        load(REPO, version="1.1.0", api=api)
    with pytest.raises(SourceError, match=r"say which version \(there is: 1\.0\.0\)"):
        load(REPO, api=api)
    with pytest.raises(HubError, match=r"scored/train.*HF_HUB_OFFLINE is set: unset it"):
        load(REPO, "scored", version="1.0.0", api=api)
    assert (hub.log, no_waiting) == ([], [])


def test_stream_is_checked_without_a_download(hub, api, two_versions, stored, monkeypatch):
    """By the checksums that the Hub lists."""
    rows = [row["id"] for row in load(REPO, version="1.0.0", streaming=True, api=api)]
    assert rows == load(REPO, version="1.0.0", api=api)["id"][:]
    files = hub.repo(REPO).find("v1.0.0").files
    name = next(name for name in files if name.startswith("selected/"))
    files[name] = hub.repo(REPO).find("v1.1.0").files[name]
    with pytest.raises(SourceError, match=r"selected/train.* is not listed with the checksum"):
        load(REPO, version="1.0.0", streaming=True, api=api)


def test_pull_survives_a_hub_with_a_bad_moment(hub, run, api, two_versions, tmp_path, no_waiting):
    """As the other commands do."""
    done = []
    hub.fault = lambda _, __, path: done.append(path) or 503 if "/resolve/" in path and len(done) < 2 else None
    result = run("pull", REPO, str(tmp_path / "out"), "--version", "1.0.0", "--to", "trl")
    assert (result.exit_code, len(done)) == (0, 2), result.output


def test_load_takes_the_highest_version_unless_told(hub, api, two_versions):
    """Of those that are not withdrawn."""
    assert len(load(REPO, api=api)) == 4
    yank(REPO, "1.1.0", why="wrong golds", api=api)
    assert len(load(REPO, api=api)) == 2


def test_pull_refuses_a_withdrawn_version(hub, run, api, two_versions, tmp_path):
    """Unless it is asked for all the same; a version that is not there is told with those that are."""
    yank(REPO, "1.1.0", why="wrong golds", api=api)
    asked = ["pull", REPO, "--to", "jsonl", "--version"]
    with pytest.raises(WithdrawnError, match=r"1\.1\.0 is withdrawn: wrong golds\. Take another"):
        run(*asked, "1.1.0", str(tmp_path / "one"))
    assert not (tmp_path / "one").exists()
    assert run(*asked, "1.1.0", str(tmp_path / "two"), "--allow-withdrawn").exit_code == 0
    assert len((tmp_path / "two" / "train.jsonl").read_text().splitlines()) == 4
    with pytest.raises(SourceError, match=r"has no version 3\.0\.0; there is: 1\.0\.0, 1\.1\.0"):
        run(*asked, "3.0.0", str(tmp_path / "three"))


def test_changed_file_is_not_loaded(hub, api, two_versions):
    """One byte of the copy on this machine: the error names the file."""
    load(REPO, version="1.0.0", api=api)
    commit = hub.repo(REPO).tags["v1.0.0"][0]
    path = api.hf_hub_download(REPO, "selected/train-00000-of-00001.parquet", repo_type="dataset", revision=commit)
    with Path(path).open("r+b") as file:
        file.seek(100)
        file.write(b"x")
    with pytest.raises(SourceError, match=r"selected/train-00000-of-00001\.parquet is not the file that was published"):
        load(REPO, version="1.0.0", api=api)


@pytest.mark.parametrize(
    ("repo", "options", "message"),
    [
        ("user/none", {}, "no such dataset"),
        (REPO, {"version": "3.0.0"}, r"no version 3\.0\.0; there is: 1\.0\.0, 1\.1\.0"),
        (REPO, {"config": "control"}, "no config 'control'; there is: selected, scored"),
    ],
)
def test_what_is_not_there_is_said(hub, api, two_versions, repo, options, message):
    """With what there is instead."""
    with pytest.raises(SourceError, match=message):
        load(repo, api=api, **options)


def test_withdrawn_version_is_marked_and_kept(hub, api, two_versions):
    """Card and manifest of the branch say so; tag and data are as before, and load_dataset reads them."""
    before = dict(hub.repo(REPO).find("v1.0.0").files)
    why = "Golds <b>of 12 rows</b> | were wrong."
    commit = yank(REPO, "1.0.0", why=why, api=api)
    assert hub.repo(REPO).branches["main"] == commit == yank(REPO, "1.0.0", why=why, api=api)
    with pytest.raises(
        WithdrawnError, match=r"1\.0\.0 is withdrawn: Golds .*there is: 1\.1\.0.*allow_withdrawn"
    ) as caught:
        load(REPO, version="1.0.0", api=api)
    assert caught.value.why == why
    assert len(load(REPO, version="1.0.0", allow_withdrawn=True, api=api)) == 2
    assert len(load_dataset(REPO, "selected", revision="v1.0.0", split="train", token=api.token)) == 2
    assert hub.repo(REPO).find("v1.0.0").files == before
    files = hub.repo(REPO).find("main").files
    assert json.loads(hub.content(files["rap.json"]))["facts"]["withdrawn"] == {"1.0.0": why}
    card = hub.content(files["README.md"]).decode()
    assert "**Version 1.0.0 is withdrawn:** Golds &#60;b&#62;of 12 rows&#60;/b&#62; &#124; were wrong." in card


def test_mark_is_carried_on(hub, api, two_versions, select):
    """A later version does not forget it."""
    yank(REPO, "1.0.0", why="wrong golds", api=api)
    release = publish(select(min_cde=0.7), REPO, "2.0.0", api=api)
    assert release.facts["withdrawn"] == {"1.0.0": "wrong golds"}
    with pytest.raises(WithdrawnError):
        load(REPO, version="1.0.0", api=api)
    assert len(load(REPO, version="2.0.0", api=api)) == 2


def test_unknown_version_is_not_withdrawn(hub, api, two_versions):
    """Nor is one withdrawn without a reason."""
    with pytest.raises(SourceError, match=r"no version 3\.0\.0"):
        yank(REPO, "3.0.0", why="wrong", api=api)
    with pytest.raises(hf_rap.errors.SettingError, match="Say why"):
        yank(REPO, "1.0.0", why=" ", api=api)


def test_diff_of_two_versions(hub, api, two_versions):
    """Rows with their reasons, overlap, means and difficulty, from the decisions alone."""
    found = diff(f"{REPO}@v1.0.0", f"{REPO}@v1.1.0", group_by="topic", api=api)
    assert found.rows == [
        {"id": f"row-{number}", "change": "added", "was": "image_helps_little", "now": "image_needed"}
        for number in (0, 2)
    ]
    assert found.facts == {
        "rows": {"old": 4, "new": 4, "both": 4},
        "kept": {"old": 2, "new": 4, "both": 2, "added": 2, "removed": 0, "jaccard": 0.5},
        "changes": [{"change": "added", "was": "image_helps_little", "now": "image_needed", "rows": 2}],
        "groups": {
            "column": "topic",
            "shown": [{"value": "shapes", "old": 2, "new": 4, "old_share": 1.0, "new_share": 1.0}],
        },
        # 1 - 3/4 in both, 1 - 1/2 only in the new
        "difficulty": [
            {"value": "0 to 0.2", "old": 0, "new": 0, "old_share": 0.0, "new_share": 0.0},
            {"value": "0.2 to 0.4", "old": 2, "new": 2, "old_share": 1.0, "new_share": 0.5},
            {"value": "0.4 to 0.6", "old": 0, "new": 2, "old_share": 0.0, "new_share": 0.5},
            {"value": "0.6 to 0.8", "old": 0, "new": 0, "old_share": 0.0, "new_share": 0.0},
            {"value": "0.8 to 1", "old": 0, "new": 0, "old_share": 0.0, "new_share": 0.0},
        ],
        "scores": {"rap_cde": {"old": 0.75, "new": 0.625}, "rap_difficulty": {"old": 0.25, "new": 0.375}},
        "models": {"old": [], "new": []},
    }


def test_diff_reads_folders_and_files(hub, api, two_versions, select, tmp_path):
    """A version on the Hub, a folder and a file of `hf-rap select` compare with each other."""
    write_file(select(min_cde=0.6), tmp_path / "old.parquet")
    publish_to_folder(select(rows=6, min_cde=0.4), tmp_path / "new")
    found = diff(str(tmp_path / "old.parquet"), str(tmp_path / "new")).facts
    assert found["rows"] == {"old": 4, "new": 6, "both": 4}
    assert found["changes"] == [
        {"change": "added", "was": "image_helps_little", "now": "image_needed", "rows": 2},
        {"change": "added", "was": None, "now": "image_needed", "rows": 2},
    ]
    assert diff(str(tmp_path / "old.parquet"), f"{REPO}@1.0.0", api=api).rows == []
    with pytest.raises(SourceError, match="neither a Parquet file nor a folder"):
        diff(str(tmp_path), str(tmp_path / "new"))
    with pytest.raises(SourceError, match="say which version"):
        diff(REPO, str(tmp_path / "new"), api=api)


def test_reselect_decides_anew_without_a_model(hub, api, two_versions, select):
    """The same as selecting from the scores with other thresholds; what is not given stays."""
    selection, source, layout = reselect(REPO, "1.0.0", options={"min_cde": 0.4}, api=api)
    assert selection.scored["rap_reason"][:] == select(min_cde=0.4).scored["rap_reason"][:]
    assert selection.rule["replace_easy"] is False
    release = publish(selection, REPO, bump="minor", source=source, layout=layout, api=api)
    assert release.version == "1.2.0"
    assert release.facts["since"]["kept"] == {"old": 4, "new": 4, "both": 4, "added": 0, "removed": 0, "jaccard": 1.0}


@pytest.mark.slow
def test_reselect_keeps_the_marks_of_a_version(hub, api, run, select, tmp_path):
    """With another threshold what was marked stays as it was marked, until other marks are given."""
    marks = tmp_path / "marks.csv"
    marks.write_text("rap_id,mark\nrow-0,drop\nrow-1,keep\n")
    write_file(select(min_cde=0.6), tmp_path / "selection.parquet")
    first = run("publish", str(tmp_path / "selection.parquet"), REPO, "--version", "1.0.0", "--overrides", str(marks))
    assert f"version 1.0.0 of {REPO} is 2 of 4 rows" in first.stdout
    selection, _, _ = reselect(REPO, "1.0.0", options={"min_cde": 0.4}, api=api)
    assert selection.scored["rap_reason"][:] == ["by_hand", "by_hand", "image_needed", "image_needed"]
    assert selection.kept_rows.tolist() == [1, 2, 3]
    marks.write_text("rap_id,mark\n")
    second = run("reselect", REPO, "1.0.0", "--overrides", str(marks), "--min-cde", "0.4")
    assert "since 1.0.0: 2 rows in, 0 out, 2 in both" in second.stdout


def test_a_version_of_an_earlier_release_is_decided_anew_as_it_was(hub, api):
    """Its scores have single precision: thirds that were not above 1/3 are not now, and the next version has doubles."""
    saved = Path(__file__).parents[1] / "saved" / "flat_house"
    api.create_repo(REPO, repo_type="dataset")
    api.upload_folder(repo_id=REPO, repo_type="dataset", folder_path=saved / "version")
    api.create_tag(REPO, repo_type="dataset", tag="v1.0.0")
    told = json.loads((saved / "told.json").read_text())
    selection, source, layout = reselect(REPO, "1.0.0", api=api)
    assert selection.scored["rap_keep"][:] == told["keep"]
    for was, now in zip(told["reason"], selection.scored["rap_reason"], strict=True):
        assert now in NOT_ABOVE if was == "image_not_needed" else now == was
    assert diff(f"{REPO}@1.0.0", str(saved / "version"), api=api).rows == []
    for limit in (1 / 3, 2 / 3):
        again, _, _ = reselect(REPO, "1.0.0", options={"min_cde": limit, "replace_easy": False}, api=api)
        before = [cde is not None and np.float32(cde) > np.float32(limit) for cde in told["cde"]]
        assert again.scored["rap_keep"][:] == before
    release = publish(selection, REPO, bump="minor", source=source, layout=layout, api=api)
    assert release.facts["since"]["kept"]["jaccard"] == 1.0
    kept = load(REPO, version="1.1.0", api=api)
    assert len(kept.filter(lambda row: row["rap_cde"] > 1 / 3)) == sum(
        np.float32(cde) > 0.34 for cde in kept["rap_cde"]
    )


def test_command_line(hub, run, select, tmp_path):
    """publish, reselect, diff and yank, one after the other."""
    write_file(select(min_cde=0.6), tmp_path / "selection.parquet")
    first = run("publish", str(tmp_path / "selection.parquet"), REPO, "--version", "1.0.0")
    *agreement, version, how_to_load = first.stdout.splitlines()
    assert agreement[0].startswith("Expected agreement with a fresh scoring: ")
    assert [version, how_to_load] == [
        f"version 1.0.0 of {REPO} is 2 of 4 rows",
        f'load it: datasets.load_dataset("{REPO}", "selected", revision="v1.0.0")',
    ]
    tried = run("reselect", REPO, "v1.0.0", "--min-cde", "0.4", "--dry-run")
    assert "version 1.1.0 of user/data-rap would be 4 of 4 rows" in tried.stdout
    assert list(hub.repo(REPO).tags) == ["v1.0.0"]
    second = run("reselect", REPO, "v1.0.0", "--min-cde", "0.4")
    assert second.stdout.splitlines()[0] == "since 1.0.0: 2 rows in, 0 out, 2 in both (Jaccard 0.5)"
    found = json.loads(run("diff", REPO, "v1.0.0", "v1.1.0", "--json").stdout)
    assert (found["kept"]["added"], len(found["changed"])) == (2, 2)
    table = run("diff", REPO, "v1.0.0", "v1.1.0").stdout
    assert "added    row-0  image_helps_little -> image_needed" in table
    assert "marked as withdrawn" in run("yank", REPO, "v1.0.0", "--why", "wrong golds").stdout
    again = run("publish", str(tmp_path / "selection.parquet"), REPO, "--version", "1.0.0")
    assert "was there already" in again.stdout
    for words in (("publish", "x.parquet"), ("publish", "x.parquet", REPO, "--to-folder", "y"), ("diff", REPO)):
        assert run(*words).exit_code == 2


def test_rows_of_the_hub_say_where_they_are_from(hub, api, tmp_path, stored):
    """`load_dataset`, a few steps, `publish_to_folder` without `source`: repository, commit, split and licence."""
    from datasets import Dataset, load_dataset

    from hf_rap import publish_to_folder, select_cognitive

    rows = Dataset.from_dict({"problem": ["?", "!"], "answer": ["1", "2"], "images": [[], []]})
    rows.to_parquet(str(tmp_path / "rows.parquet"))
    api.create_repo("user/data", repo_type="dataset")
    for name, content in (("README.md", b"---\nlicense: mit\n---\n"), ("train.parquet", tmp_path / "rows.parquet")):
        commit = api.upload_file(path_or_fileobj=content, path_in_repo=name, repo_id="user/data", repo_type="dataset")
    ds = load_dataset("user/data", split="train").map(lambda row: {"rap_cde": float(row["answer"]) / 2})
    selection = select_cognitive(ds, replace_easy=False)
    facts = publish_to_folder(selection, tmp_path / "v").facts
    assert facts["source"] == {"id": "user/data", "config": "default", "split": "train", "revision": commit.oid}
    assert facts["licence"] == "mit"
