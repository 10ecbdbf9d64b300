"""Every export, read back the way its trainer reads files, gives the same questions, golds and images."""

import base64
import io
import json
import shlex
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from PIL import Image as Pictures

from hf_rap import check_export, export, load_source, publish_to_folder, select_cognitive
from hf_rap.errors import ExportError, SettingError
from hf_rap.exports.limits import Limits
from hf_rap.exports.trainers import TRAINERS, trainers_table

from .awkward import awkward, dataset, picture, row

ALL = Limits(val_rows=0)  # none is held out
PARQUET = ["universal", "trl", "easyr1", "verl", "ms-swift", "llama-factory", "openrlhf"]


def stored(path: Path) -> list[dict]:
    return pq.read_table(path / "train.parquet").to_pylist()


def what_went_in(ds) -> list[tuple[str, str, list[bytes]]]:
    rows = ds.with_format("arrow")[:].to_pylist()
    return [(one["problem"], one["answer"], [image["bytes"] for image in one["images"]]) for one in rows]


def question(one: dict) -> str:
    """The question of a row of any export, with `<image>` at its places."""
    if "problem" in one:
        return one["problem"]
    chat = one.get("messages") or one["prompt"]
    return chat if isinstance(chat, str) else chat[0]["content"]


def gold(one: dict) -> str:
    found = [one[name] for name in ("answer", "solution", "label") if name in one]
    found += [one["reward_model"]["ground_truth"]] if "reward_model" in one else []
    return found[0] if found else one["messages"][1]["content"]


@pytest.mark.parametrize("name", PARQUET)
def test_parquet_export_round_trips(tmp_path, name):
    """Questions, golds, ids and the bytes of every image, in order."""
    done = export(awkward(), to=name, path=tmp_path / "out", limits=ALL)
    rows = stored(done.path)
    found = [(question(one), gold(one), [image["bytes"] for image in one["images"]]) for one in rows]
    assert found == what_went_in(awkward())
    assert [one["id"] for one in rows] == awkward()["id"]


@pytest.mark.parametrize("name", PARQUET)
def test_parquet_export_is_read_by_datasets_from_3_6_on(tmp_path, name):
    """The metadata knows no `List`, which came with version 4."""
    done = export(awkward(), to=name, path=tmp_path / "out")
    assert b'"List"' not in pq.read_schema(done.path / "train.parquet").metadata[b"huggingface"]


def test_trl_export_is_blocks_and_decoded_images(tmp_path):
    """As `load_dataset(folder)` gives it to GRPOTrainer; what its reward needs goes along."""
    done = export(awkward(), to="trl", path=tmp_path / "out")
    ds = load_dataset(str(done.path), split="train", cache_dir=str(tmp_path / "cache"))
    assert [block["type"] for block in ds[3]["prompt"][0]["content"]] == [
        "text", "image", "text", "image", "text", "image", "text",
    ]  # fmt: skip
    assert ds[1]["images"][0].tobytes() == Pictures.open(io.BytesIO(picture("RGB", "JPEG"))).tobytes()
    assert (ds[2]["accepted"], ds[2]["rap_cde"]) == (["B"], 0.5)


def test_verl_export_holds_scores_where_its_reward_sees_them(tmp_path):
    """`extra_info` is the only column that reaches compute_score."""
    done = export(awkward(), to="verl", path=tmp_path / "out", limits=ALL)
    assert stored(done.path)[0]["extra_info"] == {
        "split": "train", "index": 0, "id": "plain", "accepted": ["5"], "options": [], "prompt": None, "rap_cde": 0.5,
        "question": "<image>What is x?",
    }  # fmt: skip


def test_llama_factory_export_names_its_file(tmp_path):
    """dataset_info.json points to the file; the answer is the assistant's turn."""
    done = export(awkward(), to="llama-factory", path=tmp_path / "out")
    (info,) = json.loads((done.path / "dataset_info.json").read_text()).values()
    assert (done.path / info["file_name"]).is_file()
    assert [turn["role"] for turn in stored(done.path)[0]["messages"]] == ["user", "assistant"]


def test_mm_eureka_export_points_to_its_images(tmp_path):
    """Absolute file:// paths, as they are called after the move; spaces and other alphabets stay as they are."""
    done = export(awkward(), to="mm-eureka", path=tmp_path / "mit Leerzeichen é")
    rows = [json.loads(line) for line in (done.path / "train.jsonl").read_text("utf-8").splitlines()]
    found = []
    for one in rows:
        (turn,) = json.loads(one["message"])
        text = "".join("<image>" if block["type"] == "image" else block["text"] for block in turn["content"])
        files = [block["image"] for block in turn["content"] if block["type"] == "image"]
        assert all(file.startswith(f"file://{tmp_path}/mit Leerzeichen é/images/") for file in files)
        found.append((text, one["answer"], [Path(file.removeprefix("file://")).read_bytes() for file in files]))
    assert found == what_went_in(awkward())


def test_openai_chats_hold_their_images(tmp_path):
    """As data URIs with their type, where the question has them; the answer where each reader looks."""
    done = export(awkward(), to="openai-chat", path=tmp_path / "out")
    rows = [json.loads(line) for line in (done.path / "train.jsonl").read_text("utf-8").splitlines()]
    found = []
    for one in rows:
        (turn,) = one["prompt"]
        text, files = "", []
        for part in turn["content"]:
            if part["type"] == "text":
                text += part["text"]
                continue
            kind, _, content = part["image_url"]["url"].partition(";base64,")
            assert kind == f"data:{Pictures.open(io.BytesIO(base64.b64decode(content))).get_format_mimetype()}"
            text, files = f"{text}<image>", [*files, base64.b64decode(content)]
        assert one["reward_spec"] == {"method": "rule", "ground_truth": one["answer"]}
        found.append((text, one["answer"], files))
    assert found == what_went_in(awkward())


def vlm_r1(line: str, folder: str) -> tuple[list[str], str, str]:
    """What its loader makes of a line: paths, question, solution (grpo_jsonl.py, commit 90052f4)."""
    item = json.loads(line)
    images = item.get("image", [])
    images = [images] if isinstance(images, str) else images
    human, gpt = (turn["value"] for turn in item["conversations"])
    return [str(Path(folder) / image) for image in images], human.replace("<image>", ""), gpt


def test_conversations_name_their_images(tmp_path):
    """By absolute paths, for VLM-R1 beside any folder; slime finds the same in `messages` and `images`."""
    ds = dataset(row("a"), row("b", 2), row("c", 0))
    done = export(ds, to="conversations", path=tmp_path / "a b")
    lines = (done.path / "train.jsonl").read_text("utf-8").splitlines()
    for line, (question, answer, files) in zip(lines, what_went_in(ds), strict=True):
        one = json.loads(line)
        paths, text, solution = vlm_r1(line, "/elsewhere")
        assert [Path(path).read_bytes() for path in paths] == files
        assert (text, solution) == (question.replace("<image>", ""), answer)
        assert (one["messages"], one["images"], one["answer"]) == (
            [{"role": "user", "content": question}],
            paths,
            answer,
        )
    assert check_export(ds, to="conversations", prompt="trl").codes == {"system_turn": 3}


def test_json_lines_are_beside_their_images(tmp_path):
    """Relative paths: the folder can be moved. Equal images are written once."""
    done = export(dataset(row("a"), row("b"), row("c", 2)), to="jsonl", path=tmp_path / "out")
    moved = done.path.rename(tmp_path / "moved")
    rows = [json.loads(line) for line in (moved / "train.jsonl").read_text("utf-8").splitlines()]
    files = [[(moved / image).read_bytes() for image in one["images"]] for one in rows]
    assert files == [files_in for _, _, files_in in what_went_in(dataset(row("a"), row("b"), row("c", 2)))]
    assert len(list((moved / "images").iterdir())) == 2


def test_selection_exports_its_kept_rows(tmp_path):
    """Without a detour over a published version."""
    ds = dataset(row("kept", rap_cde=0.9), row("dropped", rap_cde=0.1)).add_column(
        "rap_image_rewards", [[1.0, 0.0], [0.0, 0.0]]
    )
    selection = select_cognitive(ds, replace_easy=False)
    done = export(selection, to="easyr1", path=tmp_path / "out")
    assert [one["id"] for one in stored(done.path)] == ["kept"]


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    """A published version, which nobody changes."""
    rows = [row("x", rap_cde=0.1), row("a", rap_cde=0.9), row("b", 2, answer="7", rap_cde=0.8)]
    ds = dataset(*rows).add_column("rap_image_rewards", [[1.0, 0.0]] * 3).add_column("source", ["s"] * 3)
    return publish_to_folder(
        select_cognitive(ds, replace_easy=False), tmp_path_factory.mktemp("published") / "version"
    ).path


@pytest.mark.parametrize("name", list(TRAINERS))
def test_published_version_exports_as_it_is(version, tmp_path, name):
    """Accepted answers, row numbers and sources are those of the version, not made anew."""
    done = export(str(version), to=name, path=tmp_path / "out")
    assert (done.handoff.ready, done.handoff.max_images) == (2, 2)
    if name == "universal":
        (first, second) = stored(done.path)
        assert (first["extra_info"]["index"], second["extra_info"]["index"]) == (1, 2)
        assert first["data_source"] == "s"


def test_universal_of_a_version_is_its_selected_config(tmp_path):
    """The columns that every trainer reads are the same either way, value by value."""
    ds = awkward().add_column("rap_image_rewards", [[1.0, 0.0]] * 4)
    publish_to_folder(select_cognitive(ds, min_cde=0.2, replace_easy=False), tmp_path / "version")
    done = export(str(tmp_path / "version"), path=tmp_path / "out")
    selected = load_source(str(tmp_path / "version")).with_format("arrow")[:].to_pylist()
    assert stored(done.path) == selected


@pytest.mark.parametrize("name", list(TRAINERS))
def test_snippet_and_readme_name_the_finished_folder(tmp_path, name):
    """Nothing remembers the temporary name; the paths can be pasted although they hold a space."""
    done = export(awkward(), to=name, path=tmp_path / "a b")
    assert str(tmp_path / "a b") in done.snippet
    written = [path.read_bytes() for path in done.path.rglob("*") if path.is_file()]
    assert not any(b".partial" in content for content in written)
    assert done.snippet in (done.path / "README.md").read_text("utf-8")
    if name in ("trl", "ms-swift", "openrlhf"):
        assert any(word.endswith(("a b", "a b/train.parquet")) for word in shlex.split(done.snippet))


def test_existing_folder_is_refused_and_untouched(tmp_path):
    """An empty one is fine."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    with pytest.raises(ExportError, match="There is something at"):
        export(awkward(), path=tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["x"]
    (tmp_path / "empty").mkdir()
    assert export(awkward(), tmp_path / "empty").handoff.ready == 4


@pytest.mark.parametrize(
    ("name", "folder"), [("openrlhf", "a,b"), ("openrlhf", "a@b"), ("easyr1", "a@b"), ("trl", "a[1]")]
)
def test_folder_name_that_a_loader_takes_apart_is_refused(tmp_path, name, folder):
    """OpenRLHF splits at commas, EasyR1 at @, datasets takes brackets for a pattern."""
    with pytest.raises(ExportError, match="in its name"):
        export(awkward(), to=name, path=tmp_path / folder)


def test_failed_export_leaves_nothing(tmp_path):
    """Neither the folder nor a half one beside it."""
    with pytest.raises(ExportError, match="several_golds: 1"):
        export(accepted_twice(), to="easyr1", path=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def accepted_twice():
    """A gold that is a list."""
    from datasets import List, Value

    features = awkward().features.copy()
    features["answer"] = List(Value("string"))
    return dataset(row("a", answer=["5", "five"]), row("b", answer=["6"]), features=features)


def test_several_golds_arrive_where_a_reward_can_see_them(tmp_path):
    """TRL gets them as a column; where only one text fits the row is refused."""
    done = export(accepted_twice(), to="trl", path=tmp_path / "out")
    assert [one["accepted"] for one in stored(done.path)] == [["5", "five"], ["6"]]
    assert check_export(accepted_twice(), to="openrlhf").codes == {"several_golds": 1}


def test_unknown_trainer_is_named():
    """With those that are known."""
    with pytest.raises(SettingError, match="to is 'deepspeed': it takes one of universal, trl, easyr1"):
        check_export(awkward(), to="deepspeed")


def test_docs_hold_the_table_of_trainers():
    """docs/trainers.md is made from the same table as the command."""
    docs = Path(__file__).parents[2] / "docs" / "trainers.md"
    assert trainers_table() in docs.read_text("utf-8")
