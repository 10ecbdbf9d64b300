"""A publisher is a guest: in every repository that people have, what is theirs stays, or nothing is sent.

Where a situation was reported in public, its thread stands beside it.
"""

import difflib
import json
import re

import pytest
from datasets import Dataset, DatasetDict, load_dataset
from three_rows import REPO, make

import hf_rap
from hf_rap.errors import PublishError, VersionExistsError
from hf_rap.hub import publish, yank
from hf_rap.versions.readme import BEGIN, END, metadata_of


def headed(metadata: str, body: str = "# Mine\n") -> bytes:
    return f"---\n{metadata}---\n{body}".encode()


DATA = {"data/train-00000-of-00001.parquet": b"PAR1", "notes/mine.txt": b"mine"}
PUSHED = "configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*\n"

# What lies there -> it stays, to the last byte. A README keeps all of its lines.
STAYS = {
    "nothing": {},
    "a page in words": {"README.md": b"# Mine\n\nWords.  \n\n"},
    "metadata without a page (huggingface_hub#725)": {"README.md": b"---\nlicense: mit\n---\n"},
    "comments and spellings": {"README.md": headed("# mine\nlanguage: no\nv: 1.10\nx: 0x10\nt: 12:30:00  # why\n")},
    "licence, title and tags (huggingface_hub#3043)": {
        "README.md": headed("license: apache-2.0\npretty_name: My Data\ntags: [a, b]\nsize_categories: [n>1T]\n")
    },
    "one pushed config with types (distilabel#530, mteb#2623)": {
        **DATA,
        "README.md": headed("dataset_info:\n  features:\n  - name: a\n    dtype: int64\n  splits: []\n" + PUSHED),
    },
    "configs of their own with a default (datasets#6497)": {
        "a.csv": b"x\n1\n",
        "b.csv": b"x\n2\n",
        "README.md": headed(
            "configs:\n- config_name: a\n  default: true\n  data_files: a.csv\n- config_name: b\n  data_files: b.csv\n"
        ),
    },
    "configs of their own without a default": {
        "README.md": headed("configs:\n- config_name: a\n  data_files: a.csv\n- config_name: b\n  data_files: b.csv\n")
    },
    "lines of Windows": {"README.md": b"---\r\nlicense: mit\r\n---\r\n# Mine\r\n"},
    "a page after a byte order mark": {"README.md": b"\xef\xbb\xbf---\nlicense: mit\n---\n# Mine\n"},
    "papers and pictures of the page": {
        "assets/mine.png": b"png",
        "LICENSE.txt": b"MIT",
        "requirements.txt": b"numpy",
        "README.md": b"# Mine\n![](assets/mine.png)\n",
    },
    "files beside ours": {
        **dict.fromkeys(["plots/mine.svg", "selected/notes.md", "samples/readme.md"], b"mine"),
        "control/README.md": b"mine",
    },
    "an empty .gitignore and attributes of data": {".gitignore": b"*.tmp\n", ".gitattributes": b"*.bin filter=lfs\n"},
    ".gitignore with an exception": {".gitignore": b"*.png\n!*.png\n"},
    "scripts of their own": {"make.py": b"import datasets\n"},
    "a config of the name that is not published": {
        "control/train.parquet": b"PAR1",
        "README.md": headed(
            "configs:\n- config_name: control\n  default: true\n  data_files: control/train.parquet\n"
        ),
    },
}  # fmt: skip

# What lies there -> what the error says.
REFUSED = {
    "data without configs (datasets#5213)": (DATA, r"data that load_dataset finds by itself \(data/train.*split: train"),
    "a table without configs": ({"train.csv": b"x\n1\n"}, r"data_files: 'train\.csv'"),
    "pictures in folders (datasets#5672)": ({"train/cat/1.jpg": b"", "train/dog/2.jpg": b""}, r"data_files: 'train/\*\*'"),
    "one config, the default because it is alone (datasets#5331)": (
        {"README.md": headed("configs:\n- config_name: plain_text\n  data_files: a.csv\n")},
        r"README\.md, line 3: load_dataset takes the config 'plain_text'.*default: true",
    ),
    "data in a folder of ours": ({"selected/other.parquet": b"PAR1"}, r"has not written.*selected/other\.parquet"),
    "a file of our name": ({"scored/train-00000-of-00001.parquet": b"PAR1"}, r"1 file that hf-rap has not written"),
    "a plot of our name": ({"plots/funnel.png": b"png"}, r"\(plots/funnel\.png\)\. Move them"),
    "a sample of our name": ({"samples/kept-00.png": b"png"}, r"samples/kept-00\.png"),
    "a manifest of somebody else": ({"rap.json": b'{"rap": "music"}'}, r"a rap\.json that hf-rap has not written"),
    "a config of our name": (
        {"README.md": headed("configs:\n- config_name: selected\n  default: true\n  data_files: a.csv\n")},
        r"line 3: 'configs' has a config 'selected' that hf-rap has not made",
    ),
    "our marks in a copied page": (
        {"README.md": f"# Copied\n{BEGIN}\nwords\n{END}\n".encode()},
        r"line 2: there are marks of hf-rap, but no rap\.json",
    ),
    "a mark without its end": ({"README.md": f"# Mine\n{BEGIN}\n".encode()}, r"line 2: .*there are 1 and 0"),
    "empty lines before the metadata": ({"README.md": b"\n\n---\nlicense: mit\n---\n"}, r"line 3: `---` begins metadata"),
    "metadata that no parser reads": ({"README.md": headed("license: mit\na: [\n")}, r"line 4: its metadata cannot be read"),
    "a page in Latin-1": ({"README.md": "# Mine\n\nCafé\n".encode("latin-1")}, r"README\.md, line 3: it is not UTF-8"),
    "pictures ignored (huggingface_hub#1826)": ({".gitignore": b"*.png\n"}, r"\.gitignore leaves out plots/funnel\.png, samples"),
    "folders ignored": ({".gitignore": b"/scored/\n*.json\n"}, r"\.gitignore leaves out rap\.json, scored/train"),
    "a page kept as a large file": ({".gitattributes": b"*.md filter=lfs -text\n"}, r"makes README\.md a large file"),
    "a loading script of before": ({"data-rap.py": b"import datasets\n"}, r"data-rap\.py, a loading script"),
    "configs in another file": ({".huggingface.yaml": b"configs: []\n"}, r"\.huggingface\.yaml, which is read before"),
}  # fmt: skip


def lay(hub, api, files: dict[str, bytes]) -> None:
    """A repository of the user's with these files, as the website makes it."""
    api.create_repo(REPO, repo_type="dataset")
    for path, content in files.items():
        hub.commit_as_somebody(REPO, path, content)


def at_head(hub) -> dict[str, bytes]:
    return {path: hub.content(file) for path, file in hub.repo(REPO).find("main").files.items()}


def lost_lines(old: bytes, new: bytes) -> list[str]:
    lines = [content.decode().splitlines(keepends=True) for content in (old, new)]
    return [line for line in difflib.ndiff(*lines) if line.startswith("- ")]


@pytest.mark.parametrize("situation", STAYS)
def test_what_is_theirs_stays(hub, api, situation):
    """After a version, another selection, and a version taken back; the versions load, with the default left to its owner."""
    theirs = STAYS[situation]
    lay(hub, api, theirs)
    before = metadata_of(theirs.get("README.md", b"").decode())
    publish(make(0.7), REPO, "1.0.0", api=api)
    publish(make(0.5), REPO, "1.1.0", api=api)
    yank(REPO, "1.0.0", why="wrong", api=api)
    there = at_head(hub)
    assert {path: there[path] for path in theirs if path != "README.md"} == {
        path: content for path, content in theirs.items() if path != "README.md"
    }
    if "README.md" in theirs:
        lost = lost_lines(theirs["README.md"], there["README.md"])
        assert [line for line in lost if not line.startswith("- tags: [")] == []  # tags of ours go into the brackets
    for name, value in before.items():
        if name not in ("tags", "configs", "dataset_info"):
            assert metadata_of(there["README.md"].decode())[name] == value
    assert len(load_dataset(REPO, "selected", revision="v1.1.0", split="train", token=api.token)) == 2
    ours_is_default = "configs" not in before
    defaults = [
        entry["config_name"] for entry in metadata_of(there["README.md"].decode())["configs"] if "default" in entry
    ]
    assert defaults == (
        ["selected"] if ours_is_default else [one["config_name"] for one in before["configs"] if "default" in one]
    )


@pytest.mark.parametrize("situation", REFUSED)
def test_what_would_be_overwritten_or_hidden_is_refused(hub, api, situation):
    """Before anything is sent, by a dry run as well where reading is enough."""
    theirs, message = REFUSED[situation]
    lay(hub, api, theirs)
    commits = len(hub.repo(REPO).commits)
    hub.reset()
    for dry_run in (True, False) if ".gitignore" not in theirs else (False,):
        with pytest.raises(PublishError, match=re.compile(message, re.DOTALL)):
            publish(make(0.7), REPO, "1.0.0", api=api, dry_run=dry_run)
    assert (len(hub.repo(REPO).commits), hub.repo(REPO).tags, hub.uploaded) == (commits, {}, [])
    assert not [seen for seen in hub.log if seen.path.endswith(("/objects/batch", "/commit/main"))]


def test_branch_of_the_name_of_the_version_is_refused(hub, api):
    """A tag of that name would be mistaken for it; `--bump` takes the next name."""
    publish(make(0.7), REPO, "1.0.0", api=api)
    hub.repo(REPO).branches["v1.0.1"] = hub.repo(REPO).branches["main"]
    with pytest.raises(PublishError, match=r"has a branch v1\.0\.1"):
        publish(make(0.5), REPO, "1.0.1", api=api)
    assert publish(make(0.5), REPO, bump="patch", api=api).version == "1.0.2"


def test_higher_tag_of_somebody_else_is_no_version(hub, api):
    """It is neither counted on from nor loaded, and its name is not taken."""
    lay(hub, api, {})
    for tag in ("v9.0.0", "v1.0.1", "paper"):
        api.create_tag(REPO, tag=tag, repo_type="dataset")
    assert publish(make(0.7), REPO, bump="minor", api=api).version == "1.0.0"
    assert publish(make(0.5), REPO, bump="patch", api=api).version == "1.0.2"
    assert len(hf_rap.load(REPO, api=api)) == 2
    with pytest.raises(VersionExistsError, match=r"tag v9\.0\.0 that hf-rap has not made\. Publish as 9\.0\.1"):
        publish(make(0.5), REPO, "9.0.0", api=api)


def test_file_of_ours_that_somebody_has_changed_is_theirs(hub, api):
    """It is refused, not overwritten; put back, it is ours again."""
    publish(make(0.7), REPO, "1.0.0", api=api)
    plot = at_head(hub)["plots/funnel.png"]
    hub.commit_as_somebody(REPO, "plots/funnel.png", b"a nicer one")
    with pytest.raises(PublishError, match=r"1 file .*plots/funnel\.png \(changed since\)"):
        publish(make(0.5), REPO, "1.1.0", api=api)
    hub.commit_as_somebody(REPO, "plots/funnel.png", plot)
    assert publish(make(0.5), REPO, "1.1.0", api=api).is_new


def test_deleted_manifest_is_found_in_the_version_before(hub, api):
    """What it lists is still ours."""
    publish(make(0.7), REPO, "1.0.0", api=api)
    api.delete_file("rap.json", REPO, repo_type="dataset")
    assert publish(make(0.5), REPO, "1.1.0", api=api).is_new
    assert json.loads(at_head(hub)["rap.json"])["version"] == "1.1.0"


PUSHES = {
    "another config": ({"config_name": "raw"}, None),
    "another config as the default": ({"config_name": "raw", "set_default": True}, "raw"),
    "two splits": ({"config_name": "raw", "split": "test"}, None),
}


@pytest.mark.parametrize("push", PUSHES)
@pytest.mark.parametrize("start", ["nothing", "one pushed config with types (distilabel#530, mteb#2623)"])
def test_their_next_push_works(hub, api, start, push):
    """And so does ours after it: their rows and default are there, and ours too."""
    options, default = PUSHES[push]
    lay(hub, api, STAYS[start])
    publish(make(0.7), REPO, "1.0.0", api=api)
    if default and start != "nothing":
        pytest.skip("datasets takes no other default beside a config that is named `default`")
    Dataset.from_dict({"x": [1, 2, 3]}).push_to_hub(REPO, token=api.token, **options)
    publish(make(0.5), REPO, "1.1.0", api=api)
    split = options.get("split", "train")
    assert load_dataset(REPO, "raw", split=split, token=api.token)["x"][:] == [1, 2, 3]
    assert len(load_dataset(REPO, "selected", split="train", token=api.token)) == 2
    if default or start == "nothing":
        whole = load_dataset(REPO, token=api.token)
        assert whole["train"].column_names[0] == ("x" if default else "id")


def test_their_next_push_of_the_plain_dataset_works(hub, api):
    """Where theirs was there first, whose types stood alone and without a name."""
    Dataset.from_dict({"x": [1]}).push_to_hub(REPO, token=api.token)
    publish(make(0.7), REPO, "1.0.0", api=api)
    DatasetDict({"train": Dataset.from_dict({"x": [1, 2]})}).push_to_hub(REPO, token=api.token)
    publish(make(0.5), REPO, "1.1.0", api=api)
    assert load_dataset(REPO, split="train", token=api.token)["x"][:] == [1, 2]
    assert len(load_dataset(REPO, "scored", split="train", token=api.token)) == 3


def test_plain_push_after_ours_takes_the_default(hub, api):
    """`datasets` then sees two defaults and loads nothing, until our next version takes its mark away."""
    publish(make(0.7), REPO, "1.0.0", api=api)
    Dataset.from_dict({"x": [1]}).push_to_hub(REPO, token=api.token)
    publish(make(0.5), REPO, "1.1.0", api=api)
    assert load_dataset(REPO, split="train", token=api.token)["x"][:] == [1]
    assert len(load_dataset(REPO, "selected", split="train", token=api.token)) == 2


def test_push_over_a_config_of_ours_is_noticed(hub, api):
    """The rows are the user's then, and our next version does not overwrite them."""
    publish(make(0.7), REPO, "1.0.0", api=api)
    Dataset.from_dict({"x": [1]}).push_to_hub(REPO, "selected", token=api.token)
    theirs = at_head(hub)
    with pytest.raises(PublishError, match=r"selected/train-00000-of-00001\.parquet \(changed since\)"):
        publish(make(0.5), REPO, "1.1.0", api=api)
    assert at_head(hub) == theirs
