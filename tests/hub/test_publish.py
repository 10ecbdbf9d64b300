"""Versions on the Hub: what lands there, and what can be read back."""

import hashlib
import json
import logging
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from datasets import Dataset, Features, Image, List, Value, load_dataset

import hf_rap
from hf_rap import bis_score, select_top
from hf_rap.cli import cli
from hf_rap.errors import BranchMovedError, HubError, PublishError, SettingError, VersionExistsError
from hf_rap.hub import publish, yank
from hf_rap.rows import parquet
from hf_rap.rows.provenance import SourceInfo
from hf_rap.scorers.base import add_scores
from hf_rap.versions.configs import CONFIGS

REPO = "user/data-rap"


def files_at(hub, tag: str) -> dict[str, bytes]:
    repo = hub.repo(REPO)
    return {path: hub.content(file) for path, file in repo.find(tag).files.items()}


def test_two_versions_come_back_as_they_were_pushed(hub, api, select, stored):
    """By tag, whole and streamed; the first is the same after the second."""
    first, second = select(min_cde=0.6), select(min_cde=0.4)
    one = publish(first, REPO, "1.0.0", api=api)
    before = files_at(hub, "v1.0.0")
    two = publish(second, REPO, "1.1.0", api=api)
    for selection, tag in ((first, "v1.0.0"), (second, "v1.1.0")):
        scored = load_dataset(REPO, "scored", revision=tag, split="train", token=api.token)
        selected = load_dataset(REPO, "selected", revision=tag, split="train", token=api.token)
        assert stored(scored) == stored(selection.scored)
        assert selected["id"][:] == selection.selected["rap_id"][:]
        for config, whole in (("scored", scored), ("selected", selected)):
            streamed = load_dataset(REPO, config, revision=tag, split="train", streaming=True, token=api.token)
            assert [row["rap_reason"] for row in streamed] == whole["rap_reason"][:]
            images = zip(streamed, whole, strict=True)
            assert all(one["images"][0].tobytes() == other["images"][0].tobytes() for one, other in images)
    assert files_at(hub, "v1.0.0") == before
    assert (one.is_new, two.is_new) == (True, True)
    assert [commit.title for commit in hub.repo(REPO).commits.values()] == [
        "initial commit",
        "Version 1.0.0: 2 of 4 rows",
        "Version 1.1.0: 4 of 4 rows",
    ]
    assert {tag: commit for tag, (commit, _) in hub.repo(REPO).tags.items()} == {
        "v1.0.0": one.commit,
        "v1.1.0": two.commit,
    }


def test_manifest_names_every_file(hub, api, select):
    """All but itself and what the Hub made, with the checksum of what lies there."""
    release = publish(select(), REPO, "1.0.0", api=api, random_control=True)
    there = files_at(hub, "v1.0.0")
    manifest = json.loads(there["rap.json"])
    assert manifest["files"] == release.files
    assert set(manifest["files"]) == set(there) - {"rap.json", ".gitattributes"}
    for path, entry in manifest["files"].items():
        assert entry == {"sha256": hashlib.sha256(there[path]).hexdigest(), "bytes": len(there[path])}


def test_same_version_again_changes_nothing(hub, api, select):
    """A no-op: no upload, no commit, no tag."""
    first = publish(select(), REPO, "1.0.0", api=api)
    hub.reset()
    again = publish(select(), REPO, "1.0.0", api=api)
    assert (again.is_new, again.commit, again.card) == (False, first.commit, first.card)
    assert {seen.method for seen in hub.log} <= {"GET", "HEAD"}


def test_other_content_needs_another_version(hub, api, select):
    """The error names the next one that is free, and nothing was changed."""
    publish(select(), REPO, "1.0.0", api=api)
    before = files_at(hub, "main")
    with pytest.raises(VersionExistsError, match=r"version 1\.0\.0 with other content.* 1\.0\.1") as caught:
        publish(select(min_cde=0.4), REPO, "1.0.0", api=api)
    assert caught.value.next_version == "1.0.1"
    assert files_at(hub, "main") == before


@pytest.mark.parametrize(("part", "version"), [("patch", "1.0.1"), ("minor", "1.1.0"), ("major", "2.0.0")])
def test_bump_takes_the_next_version(hub, api, select, part, version):
    """The first one is 1.0.0."""
    assert publish(select(), REPO, bump=part, api=api).version == "1.0.0"
    assert publish(select(min_cde=0.4), REPO, bump=part, api=api).version == version


def test_bump_without_a_change_names_the_version_that_is_there(hub, api, select):
    """A no-op; only a version that is asked for by its number is made of the same rows once more, and sends none of them."""
    first = publish(select(), REPO, bump="minor", api=api)
    hub.reset()
    again = publish(select(), REPO, bump="minor", api=api)
    assert (again.version, again.is_new, again.commit) == ("1.0.0", False, first.commit)
    assert {seen.method for seen in hub.log} <= {"GET", "HEAD"}
    assert publish(select(), REPO, "1.0.1", api=api).is_new
    assert hub.uploaded == []
    yank(REPO, "1.0.1", why="wrong", api=api)
    assert publish(select(), REPO, bump="patch", api=api).version == "1.0.2"


def test_same_rows_are_the_same_version_whatever_wrote_them(hub, api, select, monkeypatch):
    """Other files of other sizes, and facts that are counted since: it is the content that decides."""
    publish(select(), REPO, "1.0.0", api=api)
    monkeypatch.setattr("hf_rap.versions.groups.GROUP_BYTES", 1)
    monkeypatch.setattr("hf_rap.versions.manifest.FORMAT", 99)
    hub.reset()
    assert not publish(select(), REPO, "1.0.0", api=api).is_new
    assert hub.uploaded == []
    with pytest.raises(VersionExistsError, match="other content"):
        publish(select(), REPO, "1.0.0", api=api, random_control=True)
    with pytest.raises(VersionExistsError, match="other content"):
        publish(select(), REPO, "1.0.0", api=api, licence="cc0-1.0")
    with pytest.raises(VersionExistsError, match="other content"):
        publish(select(topic="other"), REPO, "1.0.0", api=api)


def test_version_without_a_digest_is_compared_by_reading(hub, api, select, monkeypatch):
    """As those of before have none."""
    from hf_rap.hub import publishing

    really = publishing.describe

    def before(*args, **options):
        facts, pictures = really(*args, **options)
        del facts["content"]
        return facts, pictures

    with monkeypatch.context() as patched:
        patched.setattr(publishing, "describe", before)
        publish(select(), REPO, "1.0.0", api=api)
    assert "content" not in json.loads(files_at(hub, "v1.0.0")["rap.json"])["facts"]
    assert not publish(select(), REPO, "1.0.0", api=api).is_new
    with pytest.raises(VersionExistsError, match="other content"):
        publish(select(topic="other"), REPO, "1.0.0", api=api)


def test_shards_go_one_by_one(hub, api, select, monkeypatch, tmp_path):
    """There is never more than one of them on the disk, and those that did not change keep their bytes."""
    monkeypatch.setattr(parquet, "SHARD_BYTES", 1)
    monkeypatch.setattr("hf_rap.versions.groups.GROUP_BYTES", 1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    most = []
    hub.fault = lambda *_: most.append(len(list(tmp_path.glob("hf-rap-*/*/*.parquet"))))
    release = publish(select(), REPO, "1.0.0", api=api)
    assert [name for name in release.files if name.startswith("scored")] == [
        f"scored/train-0000{number}-of-00004.parquet" for number in range(4)
    ]
    assert max(most) == 1
    assert len(load_dataset(REPO, "scored", revision="v1.0.0", split="train", token=api.token)) == 4
    hub.reset()
    fewer = publish(select(min_cde=0.4), REPO, "1.1.0", api=api)
    again = {entry["sha256"] for entry in release.files.values()} & set(hub.uploaded)
    assert again == set()
    assert len(fewer.files) != len(release.files)


def test_small_shards_may_be_part_of_the_commit(hub, api, select, stored, monkeypatch):
    """Where .gitattributes does not name Parquet files, the Hub takes small ones as it takes text."""
    monkeypatch.setitem(sys.modules["fake_hub"].__dict__, "LFS_ENDINGS", ())
    selection = select()
    publish(selection, REPO, "1.0.0", api=api)
    assert hub.uploaded == []
    assert stored(hf_rap.load(REPO, "scored", api=api)) == stored(selection.scored)


def test_files_of_the_version_before_go_and_the_users_stay(hub, api, select, monkeypatch):
    """What hf-rap wrote and does not write again is deleted in the same commit."""
    publish(select(), REPO, "1.0.0", api=api, random_control=True)
    hub.commit_as_somebody(REPO, "notes/mine.txt", b"mine")
    publish(select(min_cde=0.4), REPO, "1.1.0", api=api)
    there = files_at(hub, "v1.1.0")
    assert there["notes/mine.txt"] == b"mine"
    assert not any(path.startswith(("control/", "samples/dropped")) for path in there)
    head = yaml.safe_load(there["README.md"].decode().split("---\n")[1])
    assert [one["config_name"] for one in head["configs"]] == ["selected", "scored"]


def test_foreign_data_in_our_folders_is_refused(hub, api, select):
    """It would be read as part of the config, so it is neither overwritten nor mixed."""
    api.create_repo(REPO, repo_type="dataset")
    api.upload_file(path_or_fileobj=b"x", path_in_repo="selected/other.parquet", repo_id=REPO, repo_type="dataset")
    with pytest.raises(PublishError, match=r"has not written.*selected/other\.parquet"):
        publish(select(), REPO, "1.0.0", api=api)
    assert hub.repo(REPO).tags == {}


def test_own_readme_text_and_metadata_survive(hub, api, select):
    """Text before and after the generated part, tags, other configs, and a licence that we do not know."""
    api.create_repo(REPO, repo_type="dataset")
    mine = (
        "---\nlicense: mit\ntags:\n- mine\nconfigs:\n- config_name: raw\n  default: true\n  data_files: raw.csv\n---\n"
        "# Mine\n\nWords.\n"
    )
    api.upload_file(path_or_fileobj=mine.encode(), path_in_repo="README.md", repo_id=REPO, repo_type="dataset")
    publish(select(), REPO, "1.0.0", api=api)
    readme = files_at(hub, "main")["README.md"].decode()
    hub.commit_as_somebody(REPO, "README.md", f"{readme}\nAfter.\n".encode())
    publish(select(min_cde=0.4), REPO, "1.1.0", api=api)
    text = files_at(hub, "v1.1.0")["README.md"].decode()
    _, head, body = text.split("---\n", 2)
    assert body.strip().startswith("# Mine\n\nWords.\n\n<!-- hf-rap: begin -->")
    assert body.strip().endswith("<!-- hf-rap: end -->\n\nAfter.")
    assert "Version 1.1.0, made" in body
    assert "Version 1.0.0, made" not in body
    metadata = yaml.safe_load(head)
    assert metadata["license"] == "mit"
    assert {"mine", "hf-rap"} <= set(metadata["tags"])
    assert [(one["config_name"], one.get("default")) for one in metadata["configs"]] == [
        ("selected", None),
        ("scored", None),
        ("raw", True),
    ]


def test_card_says_what_changed_since_the_version_before(hub, api, select):
    """Counts and reasons come from the decisions of that version, read back from the Hub."""
    publish(select(min_cde=0.6), REPO, "1.0.0", api=api)
    card = publish(select(min_cde=0.4), REPO, "1.1.0", api=api).card
    assert "<summary>Since version 1.0.0: 2 rows came in, 0 went out</summary>" in card
    assert "2 rows came in and 0 went out; 2 are in both versions (Jaccard overlap 0.5)." in card
    assert "| added | 2 | `image_helps_little` | `image_needed` |" in card


def test_card_of_process_rewards_tells_how_to_export_them(hub, api, tmp_path, monkeypatch):
    """Not the trainers of questions; the lines of the card run and write every selected row."""
    ds = Dataset.from_dict(
        {
            "images": [[]] * 4,
            "problem": [f"What is {number} and 1?" for number in range(4)],
            "answer": [str(number + 1) for number in range(4)],
            "response": [f"One more than {number}.\n\nSo {number + 1}." for number in range(4)],
            "steps_with_score": [
                [
                    {"step": "One more", "score": 0.5, "num_mc_correct": 8, "num_mc_total": 16},
                    {"step": "So", "score": number / 4, "num_mc_correct": 4 * number, "num_mc_total": 16},
                ]
                for number in range(4)
            ],
        },
        Features(
            {
                "images": List(Image()),
                **dict.fromkeys(("problem", "answer", "response"), Value("string")),
                "steps_with_score": List(
                    {
                        "step": Value("string"),
                        "score": Value("float64"),
                        "num_mc_correct": Value("int64"),
                        "num_mc_total": Value("int64"),
                    }
                ),
            }
        ),
    )
    card = publish(select_top(add_scores(ds, bis_score), ratio=0.5, per=None), REPO, "1.0.0", api=api).card
    assert "GRPOTrainer" not in card
    assert "<br>One more (0.50) / So (0.25)<br>" in card
    commands = [shlex.split(line) for line in card.splitlines() if line.startswith("hf-rap export")]
    assert len(commands) == 2
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", api.token)  # a new repository is private
    for _, *words, folder in commands:
        assert CliRunner().invoke(cli, [*words, folder], catch_exceptions=False).exit_code == 0
    assert len((tmp_path / "rap-internvl" / "train.jsonl").read_text().splitlines()) == 2


def test_load_snippets_are_pinned(hub, api, select):
    """Every way to load names the version."""
    card = publish(select(), REPO, "1.2.0", api=api).card
    assert f'load_dataset("{REPO}", "selected", split="train", revision="v1.2.0")' in card
    assert f'hf_rap.load("{REPO}", "selected", version="1.2.0")' in card
    assert f"hf download {REPO} --repo-type dataset --revision v1.2.0" in card
    assert "data.train_files=[rap-data/selected/train-00000-of-00001.parquet]" in card
    assert f"hf-rap reselect {REPO} 1.2.0 --dry-run" in card


def test_control_has_the_size_and_strata_of_the_selection(hub, api, select):
    """Seeded: drawn again, it is the same."""
    selection = select(rows=20)
    publish(selection, REPO, "1.0.0", api=api, random_control=True)
    publish(selection, "user/again", "1.0.0", api=api, random_control=True)
    one, two = (hf_rap.load(repo, "control", api=api) for repo in (REPO, "user/again"))
    assert one["id"][:] == two["id"][:]
    assert len(one) == len(selection.selected) == 10
    assert one["id"][:] != selection.selected["rap_id"][:]
    assert one.column_names == hf_rap.load(REPO, api=api).column_names


def test_dry_run_sends_nothing(hub, api, select):
    """It knows files, card and what changed."""
    publish(select(), REPO, "1.0.0", api=api)
    hub.reset()
    release = publish(select(min_cde=0.4), REPO, bump="minor", api=api, dry_run=True)
    assert {seen.method for seen in hub.log} == {"GET", "HEAD"}
    assert (release.version, release.commit) == ("1.1.0", None)
    assert release.facts["since"]["kept"]["added"] == 2
    assert publish(select(), "user/new", "1.0.0", api=api, dry_run=True).commit is None
    assert ("datasets", "user/new") not in hub.repos


@pytest.mark.parametrize("token", [None, "hf_unknownSECRET", "reader"])
def test_token_that_may_not_write_is_refused_first(hub, client, tokens, select, token):
    """Before anything is written or made."""
    with pytest.raises(HubError, match="log in with `hf auth login`"):
        publish(select(), REPO, "1.0.0", api=client(tokens.get(token, token)))
    assert hub.repos == {}


def test_repository_of_somebody_else_is_refused(hub, api, client, tokens, select):
    """Whether it is there or not."""
    with pytest.raises(HubError, match="has to belong to you") as caught:
        publish(select(), "other/new", "1.0.0", api=api)
    assert caught.value.status == 403
    publish(select(), "other/data", "1.0.0", api=client(tokens["other"]), private=False)
    with pytest.raises(HubError, match="has to belong to you"):
        publish(select(), "other/data", "1.1.0", api=api)
    assert list(hub.repos["datasets", "other/data"].tags) == ["v1.0.0"]


@pytest.mark.parametrize("name", ["data", "user/", "user/da ta", "user/a--b", "user/data.git", "a/b/c", "user/commit"])
def test_invalid_name_is_refused(hub, api, select, name):
    """Before the Hub is asked."""
    with pytest.raises(SettingError):
        publish(select(), name, "1.0.0", api=api)
    assert hub.log == []


def test_invalid_version_is_refused(hub, api, select):
    """Three numbers; and either a version or a bump."""
    with pytest.raises(SettingError, match="three numbers"):
        publish(select(), REPO, "1.0", api=api)
    for options in ({}, {"version": "1.0.0", "bump": "minor"}):
        with pytest.raises(SettingError, match="either a version"):
            publish(select(), REPO, **options, api=api)
    assert hub.log == []


def test_tag_made_by_hand_is_left_alone(hub, api, select):
    """It is no version of ours, and names the next one that is free."""
    api.create_repo(REPO, repo_type="dataset")
    api.create_tag(REPO, tag="v1.0.0", repo_type="dataset")
    with pytest.raises(VersionExistsError, match=r"tag v1\.0\.0 that hf-rap has not made.* 1\.0\.1"):
        publish(select(), REPO, "1.0.0", api=api)
    assert len(hub.repo(REPO).commits) == 1


@pytest.mark.parametrize(
    "licence",
    [
        *(
            "cc-by-nd-4.0",
            "cc-by-nc-nd-4.0",
            "mit, cc-by-nd-4.0",
            "CC BY-ND 4.0",
            "CC_BY_NC_ND",
            "cc-by-nd",
            "CC BY NC ND",
        ),
        *("Attribution-NoDerivatives 4.0", "Attribution - No Derivatives", "NoDerivs"),
    ],
)
def test_licence_that_allows_no_changes_needs_a_flag(hub, api, select, licence):
    """A selection is a changed copy."""
    source = SourceInfo("user/source", licence=licence)
    with pytest.raises(PublishError, match="allows no changed copies"):
        publish(select(), REPO, "1.0.0", api=api, source=source)
    assert hub.log == []
    assert publish(select(), REPO, "1.0.0", api=api, source=source, despite_licence=True).is_new


def test_given_licence_does_not_undo_that_of_the_source(hub, api, select):
    """It may ask for more, not for less."""
    source = SourceInfo("user/source", licence="cc-by-nc-4.0")
    for licence, of_source in (("mit", source), ("mit", SourceInfo("user/source", licence="cc-by-nd-4.0"))):
        with pytest.raises(PublishError, match=r"asks for less than that of the source|allows no changed copies"):
            publish(select(), REPO, "1.0.0", api=api, source=of_source, licence=licence)
    assert hub.log == []
    assert publish(select(), REPO, "1.0.0", api=api, source=source, licence="cc-by-nc-sa-4.0").is_new
    assert (
        "license: cc-by-nc-sa-4.0"
        in publish(
            select(), "user/more", "1.0.0", api=api, source=SourceInfo("a", licence="mit"), licence="cc-by-nc-sa-4.0"
        ).card
    )


def test_other_visibility_than_the_source_is_said(hub, api, select):
    """Both ways; a source that cannot be asked says nothing."""
    for name, private in (("user/open", False), ("user/closed", True)):
        api.create_repo(name, repo_type="dataset", private=private)
    notes = [
        publish(
            select(), f"user/{number}", "1.0.0", api=api, source=SourceInfo(source), private=private, dry_run=True
        ).note
        for number, (source, private) in enumerate(
            [
                ("user/open", True),
                ("user/closed", False),
                ("user/open", False),
                ("user/closed", True),
                ("user/gone", True),
            ]
        )
    ]
    assert notes == [
        "user/open is public, and user/0 is private: nobody else sees it. New ones are made public with --public.",
        "user/closed is private, and user/1 is public: everybody can see what is selected from it.",
        None,
        None,
        None,
    ]


def test_branch_that_moved_is_not_overwritten(hub, api, select):
    """Somebody commits between the look and the commit: a clear error, and a rerun that builds on it."""
    publish(select(), REPO, "1.0.0", api=api)
    hub.reset()

    def fault(_, method, path):
        if path.endswith("/commit/main") and not any("notes" in name for name in files_at(hub, "main")):
            return lambda: hub.commit_as_somebody(REPO)
        return None

    hub.fault = fault
    with pytest.raises(BranchMovedError, match="Somebody else has committed"):
        publish(select(min_cde=0.4), REPO, "1.1.0", api=api)
    assert list(hub.repo(REPO).tags) == ["v1.0.0"]
    assert publish(select(min_cde=0.4), REPO, "1.1.0", api=api).is_new
    assert files_at(hub, "v1.1.0")["notes.txt"] == b"hello"


def test_of_two_publishers_one_wins(hub, api, client, tokens, select):
    """The other gets a clear error, nothing is lost, and with another version it can go on."""
    publish(select(), REPO, "1.0.0", api=api)
    hub.reset()
    other = client(tokens["writer"])
    done = []

    def fault(_, method, path):
        if path.endswith("/commit/main") and not done:
            done.append(True)
            return lambda: publish(select(min_cde=0.4), REPO, "1.1.0", api=other)
        return None

    hub.fault = fault
    with pytest.raises(BranchMovedError):
        publish(select(min_cde=0.7), REPO, "1.1.0", api=api)
    winner = json.loads(files_at(hub, "v1.1.0")["rap.json"])
    assert winner["facts"]["rule"]["min_cde"] == 0.4
    with pytest.raises(VersionExistsError, match=r"1\.1\.1"):
        publish(select(min_cde=0.7), REPO, "1.1.0", api=api)
    assert publish(select(min_cde=0.7), REPO, bump="patch", api=api).version == "1.1.1"


def test_two_publishers_of_the_same_both_succeed(hub, api, client, tokens, select):
    """The second finds that what it wants is there."""
    other = client(tokens["writer"])
    done = []

    def fault(_, method, path):
        if path.endswith("/commit/main") and not done:
            done.append(True)
            return lambda: publish(select(), REPO, "1.0.0", api=other)
        return None

    hub.fault = fault
    release = publish(select(), REPO, "1.0.0", api=api)
    assert hub.repo(REPO).tags["v1.0.0"][0] == release.commit
    assert len(hub.repo(REPO).commits) == 2


def test_token_is_nowhere(hub, api, client, tokens, select):
    """Not at the origin of large files; that it is not in logs, output, errors or files, every test here looks after."""
    publish(select(), REPO, "1.0.0", api=api)
    yank(REPO, "1.0.0", why="wrong", api=api)
    for token in (tokens["reader"], tokens["other"]):
        with pytest.raises(hf_rap.RapError):
            publish(select(min_cde=0.4), REPO, "1.1.0", api=client(token))
    assert not any(seen.authorized for seen in hub.log if seen.origin == "storage")


@pytest.mark.parametrize("blank", ["\n", " ", "\u2009"])
def test_token_with_a_blank_is_refused_without_showing_it(hub, client, tokens, select, blank):
    """As it comes out of a file; the client would say what it is in its own error."""
    with pytest.raises(SettingError, match="has blanks or other characters"):
        publish(select(), REPO, "1.0.0", api=client(tokens["writer"] + blank))


def test_token_in_an_answer_is_not_passed_on(hub, api, select, tokens, monkeypatch, caplog):
    """A server that echoes what it was sent, and an address that opens the file behind it."""
    caplog.set_level(logging.INFO, logger="httpcore2")  # at DEBUG it notes every header as it came
    said = f"no rights for Bearer {tokens['writer']} at https://cdn.x/y.parquet?X-Amz-Signature=abc&Expires=1"
    monkeypatch.setattr(sys.modules["fake_hub"], "INJECTED", said)
    hub.fault = lambda _, method, path: 403 if path.endswith("/preupload/main") else None
    with pytest.raises(HubError, match=r"no rights for Bearer \.\.\. at https://cdn\.x/y\.parquet\?\)") as caught:
        publish(select(), REPO, "1.0.0", api=api)
    assert tokens["writer"] not in repr(caught.value.__cause__)


def test_arrays_and_many_classes_are_published(hub, api, stored):
    """Columns of extension types come back; of very many class names the metadata is spared (413 on the Hub)."""
    from datasets import Array2D, ClassLabel

    from hf_rap.select import select_cognitive

    names = [f"class-{number:05d}-{'x' * 20}" for number in range(10_000)]
    ds = Dataset.from_dict(
        {
            "rap_id": ["a", "b"],
            "images": [[], []],
            "problem": ["What is 1 + 1?", "And 2 + 2?"],
            "answer": ["2", "4"],
            "rap_cde": [0.9, 0.1],
            "grid": [[[1, 2], [3, 4]]] * 2,
            "label": [3, 5],
        },
        Features(
            {
                "rap_id": Value("string"),
                "images": List(Image()),
                **dict.fromkeys(("problem", "answer"), Value("string")),
                "rap_cde": Value("float64"),
                "grid": Array2D((2, 2), "int64"),
                "label": ClassLabel(names=names),
            }
        ),
    )
    card = publish(select_cognitive(ds, min_cde=0.5, replace_easy=False), REPO, "1.0.0", api=api).card
    assert "dataset_info" not in card
    assert "types of the columns are too many for the metadata above; the Parquet files have them" in card
    rows = load_dataset(REPO, "scored", revision="v1.0.0", split="train", token=api.token)
    assert rows["grid"][0] == [[1, 2], [3, 4]]
    assert rows.features["label"].int2str(rows["label"][1]) == names[5]


def test_endpoint_and_token_in_the_environment_are_enough(hub, tokens, tmp_path, select):
    """The command line, in a process of its own."""
    from hf_rap.cli.files import write_file

    write_file(select(), tmp_path / "selection.parquet")
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": tokens["writer"],
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
        "HF_DATASETS_OFFLINE": "0",
        "HF_HOME": str(tmp_path / "home"),
        "PYTHONPATH": str(Path(hf_rap.__file__).parents[1]),
    }

    def run(*words):
        command = [sys.executable, "-m", "hf_rap", *words]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)

    done = run("publish", "selection.parquet", REPO, "--version", "1.0.0", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["selected"] == 2
    again = run("publish", "selection.parquet", REPO, "--version", "1.0")
    assert (again.returncode, again.stderr) == (
        1,
        "hf-rap: version is '1.0': it takes three numbers, such as '1.0.0'.\n",
    )
    assert (
        CONFIGS[:2]
        == tuple(sorted({name.split("/")[0] for name in files_at(hub, "v1.0.0") if "parquet" in name}))[::-1]
    )
