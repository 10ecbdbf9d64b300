import hashlib
from types import SimpleNamespace

import datasets
import pytest
from huggingface_hub.errors import OfflineModeIsEnabled, RepositoryNotFoundError

from hf_rap.errors import SourceError
from hf_rap.rows.provenance import SourceInfo, describe_source

COMMIT = "0123456789abcdef0123456789abcdef01234567"
# `printf abc | sha256sum`, from FIPS 180-2
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


class FakeHub:
    """Answers `dataset_info` with a commit and a licence, or with an error."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def dataset_info(self, name, *, revision=None):
        self.asked.append((name, revision))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def on_hub(licence):
    return FakeHub(SimpleNamespace(sha=COMMIT, card_data={"license": licence} if licence else None))


def loaded(commit):
    """A dataset as `load_dataset` returns it from the Hub."""
    info = datasets.DatasetInfo(
        config_name="main", download_checksums={f"hf://datasets/user/name@{commit}/data/a.parquet": {"num_bytes": 1}}
    )
    return datasets.Dataset.from_dict({"a": [1]}, info=info, split="validation")


@pytest.mark.parametrize(
    ("licence", "expected"), [("mit", "mit"), (["mit", "cc-by-4.0"], "mit, cc-by-4.0"), (None, None)]
)
def test_hub_dataset_is_known_by_its_commit_and_licence(licence, expected):
    """The branch that was asked for is resolved."""
    hub = on_hub(licence)

    info = describe_source("user/name:main@v1#test", api=hub)

    assert info == SourceInfo("user/name", "main", "test", COMMIT, expected)
    assert hub.asked == [("user/name", "v1")]


def test_commit_of_the_loaded_data_goes_before_that_of_the_branch():
    """The branch may have moved since; config and split are those that were chosen."""
    hub = on_hub("mit")

    info = describe_source("user/name", loaded("f" * 40), api=hub)

    assert info == SourceInfo("user/name", "main", "validation", "f" * 40, "mit")
    assert hub.asked == [("user/name", "f" * 40)]


def test_hub_out_of_reach_leaves_unknown_open():
    """Nothing is made up: the licence is null, the commit is what the data knows."""
    hub = FakeHub(OfflineModeIsEnabled("offline"))

    assert describe_source("user/name@v1", api=hub) == SourceInfo("user/name", revision="v1")
    assert describe_source("user/name", loaded("f" * 40), api=hub).revision == "f" * 40


def test_missing_hub_dataset_is_a_source_error():
    """No access and no such dataset look alike from outside."""
    response = SimpleNamespace(headers={}, request=None)
    hub = FakeHub(RepositoryNotFoundError("404 not found\nmore", response=response))

    with pytest.raises(SourceError, match=r"^user/name: 404 not found If it is private or gated.*hf auth login"):
        describe_source("user/name", api=hub)


def test_local_folder_is_known_by_its_files(tmp_path):
    """Names below the folder and hashes; hidden files and the folder's place do not count."""
    folder = tmp_path / "set"
    (folder / "data").mkdir(parents=True)
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x").write_text("x")
    (folder / "data" / "a.jsonl").write_text("abc")
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n# Card\n")
    readme = hashlib.sha256((folder / "README.md").read_bytes()).hexdigest()
    listing = hashlib.sha256(f"{readme}  README.md\n{ABC}  data/a.jsonl\n".encode()).hexdigest()

    info = describe_source(str(folder), config="c")

    assert info.as_dict() == {
        "id": "set",
        "config": "c",
        "split": None,
        "revision": f"sha256:{listing}",
        "licence": "cc-by-4.0",
        "files": {"README.md": readme, "data/a.jsonl": ABC},
    }


def test_local_files_are_named_below_what_they_share(tmp_path, monkeypatch):
    """A relative source is a name that says something; an absolute one would say who ran it."""
    monkeypatch.chdir(tmp_path)
    for folder in ("one", "two"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        (tmp_path / "data" / folder / "a.jsonl").write_text("abc")
    made_up = datasets.Dataset.from_dict({"a": [1]}, info=datasets.DatasetInfo(config_name="default-1"), split="train")

    relative = describe_source("data/*/a.jsonl", made_up)
    absolute = describe_source(str(tmp_path / "data" / "one" / "a.jsonl"))

    assert (relative.id, relative.files) == ("data/*/a.jsonl", {"one/a.jsonl": ABC, "two/a.jsonl": ABC})
    assert (relative.config, relative.split, relative.licence) == (None, None, None)
    assert (absolute.id, absolute.files) == ("a.jsonl", {"a.jsonl": ABC})


def test_current_folder_has_its_own_name(tmp_path, monkeypatch):
    """`.` would say nothing."""
    (tmp_path / "set").mkdir()
    monkeypatch.chdir(tmp_path / "set")

    assert [describe_source(name).id for name in (".", "../set", str(tmp_path / "set"))] == ["set"] * 3


@pytest.mark.parametrize("text", ["# Card", "---\nlicense: [\n---\n", "---\n- mit\n---\n", "---\ntags: []\n---\n"])
def test_readme_without_a_readable_licence_leaves_it_open(tmp_path, text):
    """No front matter, broken front matter, or none that names a licence."""
    (tmp_path / "README.md").write_text(text)

    assert describe_source(str(tmp_path)).licence is None


def test_missing_file_is_a_source_error():
    """As when loading it."""
    with pytest.raises(SourceError, match=r"gone\.jsonl was not found"):
        describe_source("./gone.jsonl")
