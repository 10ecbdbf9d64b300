"""Folders of strangers: datasets, versions, models and runs whose files are links, pipes, loops, or name others elsewhere."""

import json
import os
import pickle
import shutil
import signal
import time
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from hf_rap import Rollouts, TransformersEngine, collect_evidence, collect_in_run, describe_source, load_source
from hf_rap.cli import cli
from hf_rap.demo import MODEL
from hf_rap.errors import EngineError, RapError

from .conftest import CANARY
from .test_code import Runs
from .test_sizes import rows

ROW = {"question": "How many?", "answer": "4"}
SECRET = {"question": CANARY.decode(), "answer": "4"}


@pytest.fixture(autouse=True)
def no_wait_for_ever():
    """What waits for a pipe fails."""

    def late(*_):
        raise TimeoutError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(30)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def lines(place, *rows):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return place


def loaded_or_refused(source):
    """Nothing of the private rows, in a few seconds, and an error of ours in one line."""
    started = time.monotonic()
    try:
        ds = load_source(str(source))
        text = str(ds[:]) + str(describe_source(str(source)))
    except RapError as error:
        text = str(error)
        assert "\n" not in text
        assert text.isprintable()
    assert CANARY.decode() not in text
    assert time.monotonic() - started < 20
    return text


@pytest.fixture
def outside(machine):
    """A dataset of another that lies beside the stranger's folder, in several formats."""
    other = machine.top / "other"
    lines(other / "train.jsonl", SECRET)
    datasets.Dataset.from_list([SECRET]).to_parquet(other / "train.parquet")
    datasets.Dataset.from_list([SECRET]).save_to_disk(other / "saved")
    return other


def saved(machine, change):
    datasets.Dataset.from_list([ROW]).save_to_disk(machine.own / "saved")
    state = json.loads((machine.own / "saved" / "state.json").read_text())
    change(state)
    (machine.own / "saved" / "state.json").write_text(json.dumps(state))
    return machine.own / "saved"


def arrow_of(outside):
    (file,) = (outside / "saved").glob("*.arrow")
    return file


def with_readme(machine, text):
    (machine.own / "fine.png").unlink()
    lines(machine.own / "data" / "train.jsonl", ROW)
    (machine.own / "README.md").write_text(text)
    return machine.own


def linked(machine, name, target):
    (machine.own / "fine.png").unlink()
    place = machine.own / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)
    return machine.own


def config(text):
    return f"---\nconfigs:\n- config_name: default\n{text}\n---\n"


ANCHORS = "\n".join(f"a{n}: &a{n} [" + ",".join([f"*a{n - 1}" if n else "x"] * 9) + "]" for n in range(12))
MERGED = "a0: &a0 {x: y}\n" + "\n".join(
    f"a{n}: &a{n} {{<<: [" + ",".join([f"*a{n - 1}"] * 9) + "]}" for n in range(1, 12)
)

FOLDERS = {
    "state_names_a_file_above": lambda m, o: saved(
        m, lambda state: state.update(_data_files=[{"filename": f"../../other/saved/{arrow_of(o).name}"}])
    ),
    "state_names_an_absolute_file": lambda m, o: saved(
        m, lambda state: state.update(_data_files=[{"filename": str(arrow_of(o))}])
    ),
    "state_names_nothing": lambda m, o: saved(m, lambda state: state.update(_data_files=None)),
    "state_of_odd_kinds": lambda m, o: saved(m, lambda state: state.update(_format_type=[], _format_columns={"a": 1})),
    "saved_arrow_is_a_link": lambda m, o: (
        (place := saved(m, lambda state: None)),
        next(place.glob("*.arrow")).unlink(),
        (place / "data-00000-of-00001.arrow").symlink_to(arrow_of(o)),
    )[0],
    "splits_above": lambda m, o: (
        (m.own / "dataset_dict.json").write_text(json.dumps({"splits": ["../../other/saved"]})),
        m.own,
    )[1],
    "splits_absolute": lambda m, o: (
        (m.own / "dataset_dict.json").write_text(json.dumps({"splits": [str(o / "saved")]})),
        m.own,
    )[1],
    "splits_of_odd_kinds": lambda m, o: ((m.own / "dataset_dict.json").write_text('{"splits": {"a": 7}}'), m.own)[1],
    "lines_are_a_link": lambda m, o: linked(m, "train.jsonl", o / "train.jsonl"),
    "parquet_is_a_link": lambda m, o: linked(m, "data/train.parquet", "../../other/train.parquet"),
    "lines_beside_pictures_are_a_link": lambda m, o: ((m.own / "train.jsonl").symlink_to(o / "train.jsonl"), m.own)[1],
    "folder_is_a_link": lambda m, o: linked(m, "data", o),
    "metadata_is_a_link": lambda m, o: linked(m, "metadata.jsonl", o / "train.jsonl"),
    "readme_is_a_link_to_a_key": lambda m, o: linked(m, "README.md", m.key),
    "data_dir_above": lambda m, o: with_readme(m, config("  data_dir: ../other")),
    "data_files_with_a_split": lambda m, o: with_readme(
        m, config("  data_files:\n  - split: train\n    path: data/../../other/train.jsonl")
    ),
    "data_files_of_the_hub": lambda m, o: with_readme(m, config("  data_files: hf://datasets/me/private/x.jsonl")),
    "data_files_of_a_chain": lambda m, o: with_readme(m, config(f"  data_files: simplecache::file://{o}/train.jsonl")),
    "data_files_of_odd_kinds": lambda m, o: with_readme(m, config("  data_files: {train: {a: [1, [2]]}}")),
    "config_names_above": lambda m, o: with_readme(
        m, "---\nconfigs:\n- config_name: ../../x\n  data_files: data/train.jsonl\n---\n"
    ),
    "builder_options": lambda m, o: with_readme(
        m, config("  data_files: data/train.jsonl\n  field: __class__\n  encoding: idna\n  chunksize: -1")
    ),
    "builder_script": lambda m, o: (
        (m.own / "set.py").write_text(f"open({str(m.top / 'ran')!r}, 'w')"),
        with_readme(m, "---\nbuilder_name: set\n---\n"),
    )[1],
    "features_of_the_card": lambda m, o: with_readme(
        m, "---\ndataset_info:\n  features:\n  - name: a\n    dtype: !!python/name:os.system\n---\n"
    ),
    "card_with_many_anchors": lambda m, o: with_readme(m, f"---\n{ANCHORS}\n---\n"),
    "licence_of_many_anchors": lambda m, o: with_readme(m, f"---\n{ANCHORS}\nlicense: *a11\n---\n"),
    "types_of_many_anchors": lambda m, o: with_readme(m, f"---\n{ANCHORS}\ndataset_info: *a11\n---\n"),
    "files_of_many_anchors": lambda m, o: with_readme(m, f"---\n{ANCHORS}\nconfigs: *a11\n---\n"),
    "anchors_merged": lambda m, o: with_readme(m, f"---\n{MERGED}\nlicense: mit\n---\n"),
    "anchor_in_itself": lambda m, o: with_readme(m, "---\nlicense: &a [*a]\n---\n"),
    "head_without_end": lambda m, o: with_readme(m, "---\n" + "a: b\n" * 300_000),
    "licence_of_brackets": lambda m, o: with_readme(m, f"---\nlicense: {'[' * 20_000}\n---\n"),
    "licence_of_dashes": lambda m, o: with_readme(m, f"---\nlicense:\n{'- ' * 20_000}x\n---\n"),
    "loop_of_folders": lambda m, o: (linked(m, "data/again", ".."), lines(m.own / "train.jsonl", ROW), m.own)[2],
    "readme_is_a_pipe": lambda m, o: (lines(m.own / "train.jsonl", ROW), os.mkfifo(m.own / "README.md"), m.own)[2],
    "readme_is_zeros": lambda m, o: (
        lines(m.own / "train.jsonl", ROW),
        (m.own / "README.md").symlink_to("/dev/zero"),
        m.own,
    )[2],
    "state_is_a_pipe": lambda m, o: (
        (place := saved(m, lambda state: None)),
        (place / "state.json").unlink(),
        os.mkfifo(place / "state.json"),
    )[0],
    "info_is_a_pipe": lambda m, o: (
        (place := saved(m, lambda state: None)),
        (place / "dataset_info.json").unlink(),
        os.mkfifo(place / "dataset_info.json"),
    )[0],
    "infos_is_a_pipe": lambda m, o: (
        lines(m.own / "train.jsonl", ROW),
        os.mkfifo(m.own / "dataset_infos.json"),
        m.own,
    )[2],
    "metadata_is_a_pipe": lambda m, o: (os.mkfifo(m.own / "metadata.jsonl"), m.own)[1],
    "rap_json_is_a_pipe": lambda m, o: (lines(m.own / "train.jsonl", ROW), os.mkfifo(m.own / "rap.json"), m.own)[2],
    "names_with_line_breaks": lambda m, o: (lines(m.own / "tr\nain\x1b[31m.jsonl", ROW), m.own)[1],
    "names_of_options": lambda m, o: lines(m.own / "--split=x.jsonl", ROW),
    "names_of_patterns": lambda m, o: lines(m.own / "[a]*.jsonl", ROW),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_a_stranger_is_read_within_itself(machine, outside, name):
    """Loaded without the rows of others, or refused in one line, soon."""
    loaded_or_refused(FOLDERS[name](machine, outside))
    assert not (machine.top / "ran").exists()


@pytest.mark.parametrize("text", ["2024-01-01", "{a: b}", "7", "[1, {a: b}]", "''", "null", "true"])
def test_a_licence_that_is_no_text_is_unknown(machine, text):
    """It goes into notes and cards as JSON, which knows no dates."""
    assert describe_source(str(with_readme(machine, f"---\nlicense: {text}\n---\n"))).licence is None


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    """A version as `publish_to_folder` writes it."""
    from hf_rap import publish_to_folder, select_cognitive
    from hf_rap.scorers import CDEScore, DifficultyScore
    from hf_rap.scorers.base import add_scores

    from .conftest import png
    from .test_canary import Half

    rows = [
        {"image": {"bytes": png(size=(20 + n, 20)), "path": None}, "question": f"Q {n}", "answer": "4"}
        for n in range(3)
    ]
    features = datasets.Features({"image": datasets.Image(), **dict.fromkeys(ROW, datasets.Value("string"))})
    ds = datasets.Dataset.from_list(rows, features=features)
    from hf_rap import collect_evidence

    evidence = collect_evidence(ds, Rollouts(Half(), attempts=2))
    selection = select_cognitive(add_scores(evidence, CDEScore(), DifficultyScore()), min_cde=0.1, max_ace=None)
    folder = tmp_path_factory.mktemp("version") / "v"
    publish_to_folder(selection, folder)
    return folder


def other_rap(folder, **changes):
    values = json.loads((folder / "rap.json").read_text())
    (folder / "rap.json").write_text(json.dumps({**values, **changes}))


def with_entry(folder, name):
    files = json.loads((folder / "rap.json").read_text())["files"]
    other_rap(folder, files={**files, name: {"sha256": "0" * 64, "bytes": 10}})


def as_link(folder, name, target):
    place = folder / name
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    place.symlink_to(target)


def as_pipe(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)


VERSIONS = {
    "rap_json_is_a_link": lambda f, m: as_link(f, "rap.json", m.key),
    "rap_json_is_a_pipe": lambda f, m: as_pipe(f, "rap.json"),
    "rap_json_is_zeros": lambda f, m: as_link(f, "rap.json", "/dev/zero"),
    "selected_is_a_link_to_another_folder": lambda f, m: as_link(f, "selected", m.top / "other"),
    "a_shard_is_a_link": lambda f, m: as_link(
        f, "selected/train-00000-of-00001.parquet", m.top / "other" / "train.parquet"
    ),
    "a_shard_is_a_pipe": lambda f, m: as_pipe(f, "selected/train-00000-of-00001.parquet"),
    "huge_numbers": lambda f, m: other_rap(f, facts={"rows": 10**400}, version="1.0.0"),
    "bytes_of_a_huge_number": lambda f, m: other_rap(
        f, files={"selected/train-00000-of-00001.parquet": {"sha256": "0" * 64, "bytes": 10**4000}}
    ),
    "another_checksum": lambda f, m: other_rap(
        f, files={"selected/train-00000-of-00001.parquet": {"sha256": "0" * 64, "bytes": 10}}
    ),
    "a_listed_file_above": lambda f, m: with_entry(f, "../../id_rsa"),
    "a_version_of_escapes": lambda f, m: other_rap(f, version="1.0.0\x1b]52;c;x\x07"),
    "a_version_that_is_a_path": lambda f, m: other_rap(f, version="../../x"),
    "facts_that_are_markup": lambda f, m: other_rap(f, facts={"<img src=x>": "</details><script>"}),
    "readme_is_a_link": lambda f, m: as_link(f, "README.md", m.key),
    "readme_is_a_pipe": lambda f, m: as_pipe(f, "README.md"),
    "no_rap_json": lambda f, m: (f / "rap.json").unlink(),
}


@pytest.mark.parametrize("command", ["export", "inspect", "diff"])
@pytest.mark.parametrize("name", VERSIONS)
def test_a_version_of_a_stranger_gives_no_other_file(machine, outside, version, name, command):
    """Exported, looked at and compared: an error in one line, or the version's own rows."""
    folder = machine.top / "v"
    shutil.copytree(version, folder)
    VERSIONS[name](folder, machine)
    out = machine.top / "out"
    words = {"export": [str(folder), str(out)], "inspect": [str(folder)], "diff": [str(folder), str(version)]}[command]
    result = CliRunner().invoke(cli, [command, *words])
    assert result.exception is None or isinstance(result.exception, (SystemExit, RapError)), result.exception
    said = f"{result.output}{result.exception or ''}".translate({ord("\r"): None, ord("\n"): None, ord("\t"): None})
    assert said.isprintable()
    assert CANARY.decode() not in said
    for path in out.rglob("*") if out.exists() else ():
        assert not path.is_symlink()
        if path.is_file():
            content = path.read_bytes()
            content += str(pq.read_table(path).to_pylist()).encode() if path.suffix == ".parquet" else b""
            assert CANARY not in content


def model_folder(tmp_path):
    return Path(shutil.copytree(MODEL, tmp_path / "model"))


def edited(place, **changes):
    values = json.loads(place.read_text())
    values.update(changes)
    place.write_text(json.dumps(values))


def pickled_weights(folder, ran):
    for file in folder.glob("*.safetensors*"):
        file.unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Runs(str(ran))))


def with_code(folder, ran, file="config.json", **names):
    (folder / "evil.py").write_text(f"open({str(ran)!r}, 'w')\nclass Evil: pass\n")
    edited(folder / file, auto_map=names)


MODELS = {
    "pickled_weights": pickled_weights,
    "code_of_the_config": lambda f, r: with_code(f, r, AutoConfig="evil.Evil", AutoModelForImageTextToText="evil.Evil"),
    "code_of_another_repository": lambda f, r: with_code(f, r, AutoConfig="user/evil--evil.Evil"),
    "config_of_an_unknown_kind_with_code": lambda f, r: (
        edited(f / "config.json", model_type="evil"),
        with_code(f, r, AutoConfig="evil.Evil"),
    ),
    "code_of_the_tokenizer": lambda f, r: with_code(f, r, "tokenizer_config.json", AutoTokenizer=["evil.Evil", None]),
    "config_that_is_none": lambda f, r: (f / "config.json").write_text("[" * 100_000),
    "config_of_huge_numbers": lambda f, r: edited(f / "config.json", vocab_size=10**30),
    "config_is_a_pipe": lambda f, r: as_pipe(f, "config.json"),
    "template_is_a_pipe": lambda f, r: as_pipe(f, "chat_template.jinja"),
    "template_reaches_for_python": lambda f, r: (f / "chat_template.jinja").write_text(
        "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ cycler.__init__.__globals__.os.system('touch "
        + str(r)
        + "') }}"
    ),
    "template_that_includes": lambda f, r: (f / "chat_template.jinja").write_text("{% include '/etc/passwd' %}"),
    "template_of_brackets": lambda f, r: (f / "chat_template.jinja").write_text("{{" + "(" * 10_000 + "}}"),
    "template_of_format": lambda f, r: (f / "chat_template.jinja").write_text(
        "{{ '{0.__class__.__init__.__globals__}'.format(cycler) }}"
    ),
    "generation_config_that_is_none": lambda f, r: (f / "generation_config.json").write_text('{"max_length": "x'),
    "weights_cut": lambda f, r: [file.write_bytes(file.read_bytes()[:1000]) for file in f.glob("*.safetensors")],
    "weights_with_a_long_head": lambda f, r: [
        file.write_bytes((2**62).to_bytes(8, "little") + b"{}") for file in f.glob("*.safetensors")
    ],
    "index_that_names_files_above": lambda f, r: (
        (f / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../../x.safetensors"}})),
        (f / "model.safetensors").unlink(),
    ),
}

INDICES = {
    "a_pickle_beside_it": {"weight_map": {"a": "pytorch_model.bin"}},
    "a_file_above": {"weight_map": {"a": "../x.safetensors"}},
    "a_file_elsewhere": {"weight_map": {"a": "/etc/x.safetensors"}},
    "a_number": {"weight_map": {"a": 7}},
    "no_map": {"weight_map": "../x.bin"},
}


@pytest.mark.parametrize("name", INDICES)
def test_an_index_of_weights_names_safetensors_files_beside_it_alone(machine, name):
    """transformers would give any other file to `torch.load`, and say that it loads with `weights_only=False`."""
    folder = model_folder(machine.top)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(INDICES[name]))
    engine = TransformersEngine(str(folder), device="cpu")
    with pytest.raises(EngineError, match=r"model\.safetensors\.index\.json names .*nothing else is opened"):
        collect_evidence(rows((84,)), Rollouts(engine, attempts=1, max_new_tokens=2))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_a_stranger_runs_nothing(machine, name):
    """It is refused with a sentence, or answers; a question is asked, so that the template is drawn."""
    ran = machine.top / "ran"
    folder = model_folder(machine.top)
    MODELS[name](folder, ran)
    before = os.environ.get("HOME")
    try:
        engine = TransformersEngine(str(folder), device="cpu")
        collect_in_run(rows((84,)), Rollouts(engine, attempts=1, max_new_tokens=2), str(machine.top / "run"))
    except EngineError as error:
        assert "\n" not in str(error)  # noqa: PT017 - both are fine
    assert not ran.exists()
    assert os.environ.get("HOME") == before
