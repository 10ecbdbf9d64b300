"""Whatever reads JSON, YAML and metadata from outside: an error of ours in one sentence, in bounded time and memory."""

import ast
import gzip
import json
import os
import resource
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import hypothesis
import pyarrow as pa
import pytest
from hypothesis import strategies as st

import hf_rap
from hf_rap.engines.endpoint_answer import OddError, RefusedError, read_answer
from hf_rap.engines.endpoint_ask import Ask
from hf_rap.engines.identity import _adapter_base, _tensors
from hf_rap.errors import RapError, SourceError
from hf_rap.exports.asked import prompt_in
from hf_rap.options import ForeignError, read_json
from hf_rap.process.jsonl import other_fields, read_blocks
from hf_rap.rows.cells import values_of
from hf_rap.rows.chats import read_chat
from hf_rap.rows.choices import read_choices
from hf_rap.rows.layouts import layout_from
from hf_rap.rows.logged import Attempt, _records, facts_of_logs, read_attempts
from hf_rap.rows.presets import read_prompt
from hf_rap.rows.provenance import source_info
from hf_rap.rows.sources import load_source
from hf_rap.rows.turns import _cuts
from hf_rap.runs.folder import RunFolder
from hf_rap.runs.lease import Lease
from hf_rap.stats.settings import correct_of, plan_in, settings_in
from hf_rap.verify.finding import find_answer
from hf_rap.versions.manifest import read_manifest
from hf_rap.versions.readme import merge_readme, metadata_of

SECONDS, BYTES = 1.0, 200_000_000


def written(tmp_path, name, content):
    place = tmp_path / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return place


def of_text(content):
    return content.decode("utf-8", "replace")


def of_json(content):
    """What the content says, where it is JSON; a test of what is made of it."""
    return read_json(content, object)


READERS = {
    "json": lambda content, _: read_json(content, object),
    "settings": lambda content, _: settings_in(of_text(content)),
    "correct": lambda content, _: correct_of(of_text(content)),
    "plan": lambda content, _: plan_in(of_text(content)),
    "manifest": lambda content, _: read_manifest(content, "user/name"),
    "layout": lambda content, _: layout_from(read_json(content), "a.parquet"),
    "source": lambda content, _: source_info(read_json(content), "a.parquet"),
    "answer": lambda content, _: read_answer(read_json(content), Ask(list, {}, 1), str),
    "chat": lambda content, _: read_chat(of_text(content)),
    "chat_as_told": lambda content, _: read_chat(of_json(content)),
    "turns": lambda content, _: _cuts(of_text(content)),
    "options": lambda content, _: read_choices([of_text(content)]),
    "cell": lambda content, _: values_of(pa.array([of_text(content)], pa.json_())),
    "stated": lambda content, _: find_answer(f"<answer>{of_text(content)}</answer>"),
    "prompt_in_row": lambda content, _: prompt_in({"extra_info": {"prompt": of_text(content)}}),
    "prompt_file": lambda content, folder: read_prompt(written(folder, "prompt.yaml", content)),
    "head": lambda content, _: metadata_of(f"---\n{of_text(content)}\n---\n# Card\n"),
    "readme": lambda content, _: merge_readme(f"---\n{of_text(content)}\n---\nmine\n", "---\na: 1\n---\n# Card\n", {}),
    "adapter": lambda content, folder: _adapter_base(
        str(written(folder, "m/adapter_config.json", content).parent), None
    ),
    "weights": lambda content, folder: _tensors(
        written(folder, "w", len(content).to_bytes(8, "little") + content).open("rb")
    ),
    "steps": lambda content, folder: list(read_blocks(written(folder, "s.jsonl", content))),
    "steps_head": lambda content, folder: other_fields(written(folder, "s.jsonl", content)),
    "dump": lambda content, folder: [
        Attempt.read(record, Path("step_1"), None) for record in _records(written(folder, "step_1.json", content))
    ],
    "dump_lines": lambda content, folder: [
        Attempt.read(record, Path("step_1"), None) for record in _records(written(folder, "step_1.jsonl", content))
    ],
    "log": lambda content, folder: read_attempts(logged(folder, content, b'{"function": "f", "started": 1}')),
    "log_facts": lambda content, folder: facts_of_logs(logged(folder, b'{"id": "a", "reward": 1}\n', content)),
    "run": lambda content, folder: RunFolder(str(written(folder, "run/run.json", content).parent)),
    "run_manifest": lambda content, folder: run_in(folder, "0" * 16 + "/manifest.json", content).manifest("0" * 16),
}


def logged(folder, lines, facts):
    written(folder, "log/rewards-00000-0123abcd.json", facts)
    return written(folder, "log/rewards-00000-0123abcd.jsonl", lines)


def run_in(folder, name, content):
    written(folder, "r/run.json", b'{"format": 2}')
    written(folder, f"r/{name}", content)
    return RunFolder(str(folder / "r"))


OURS = (RapError, ForeignError, OddError, RefusedError)


def reads(name, content, folder):
    """Nothing but an error of ours, with what a person can read."""
    said = ""
    try:
        READERS[name](content, folder)
    except OURS as error:
        said = str(error)
    assert said.replace("\n", "").replace("\t", "").isprintable()
    assert len(said) < 2000


HOSTILE = {
    "nothing": b"",
    "null": b"null",
    "number": b"7",
    "text": b'"a"',
    "list": b"[]",
    "lists": b"[[[]]]",
    "open": b"[" * 100_000,
    "open_objects": b'{"a":' * 50_000,
    "closed": b"[" * 20_000 + b"]" * 20_000,
    "closed_objects": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "parentheses": b"(" * 5_000,
    "signs": b"-" * 50_000 + b"1",
    "not": b"[" + b"not " * 20_000 + b"1]",
    "wide": b"[" + b"1," * 20_000 + b"1]",
    "long_text": b'{"a": "' + b"x" * 2_000_000 + b'"}',
    "long_number": b'{"a": ' + b"9" * 100_000 + b"}",
    "exponent": b'{"version": 1e999999, "step": 1e400, "reward": 1e400}',
    "nan": b'{"version": NaN, "id": NaN, "step": NaN, "reward": NaN, "mode": NaN, "attempts": NaN}',
    "minus_infinity": b"[-Infinity]",
    "half": b'{"id": "\\ud800", "version": "\\udfff"}',
    "half_name": b'{"\\ud800": 1}',
    "not_utf8": b'{"id": "\xff\xfe"}',
    "utf16": '{"a": 1}'.encode("utf-16"),
    "bom": b"\xef\xbb\xbf{}",
    "zeros": bytes(1000),
    "twice": b'{"id": 1, "id": {"id": []}}',
    "steering": b'{"id": "\\u001b[31m\\u202e", "\\u001b[2J": 1, "version": "\\u001b]0;x\\u0007"}',
    "laughs": b"a: &a [1,1,1,1,1,1,1,1]\n"
    + b"\n".join(b"%c: &%c [%s]" % (c + 1, c + 1, b",".join([b"*%c" % c] * 8)) for c in range(97, 110)),
    "yaml_open": b"[" * 3_000,
    "yaml_nested": b"a: " + b"{a: " * 500 + b"1" + b"}" * 500,
    "yaml_date": b"a: 2024-99-99",
    "yaml_object": b"a: !!python/object/apply:os.system [touch /tmp/CANARY]",
    "yaml_tag": b"a: !!int x",
    "yaml_key": b"? [1, 2]\n: 3",
    "yaml_twice": b"a: 1\na: 2",
    "yaml_merge": b"<<: 7",
    "offsets": b'{"a": {"data_offsets": [-5, 1]}, "b": {"data_offsets": [1e300, "x"]}}',
    "odd_fields": b'{"mode": [], "attempts": {}, "step": [], "reward": "1", "id": {}, "prompt": 7, "question": 1}',
    "records": b'[{"reward": "x", "prompt": [], "step": {}}]',
    "roles": b'[{"role": {}, "content": 7}, {"role": null}, {"role": ["user"], "content": [[[]]]}]',
    "columns": b'{"role": ["user"], "content": ["a", "b"]}',
    "turns": b'[{"from": "human", "value": {"a": [1]}}, {"from": 7, "value": null}]',
    "blocks": b'[{"role": "user", "content": [{"type": []}, {"type": "image", "image": {"bytes": "x"}}, 7, null]}]',
}


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_says_what_is_wrong(tmp_path, reader):
    """In its own words, and soon; nothing of it is run."""
    late = {}
    for name, content in HOSTILE.items():
        for _ in range(3):  # a busy processor is no fault of the reader
            started = time.process_time()
            reads(reader, content, tmp_path)
            late[name] = time.process_time() - started
            if late[name] < SECONDS:
                break
    assert {name: seconds for name, seconds in late.items() if seconds > SECONDS} == {}
    assert not Path("/tmp/CANARY").exists()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "content",
                    "usage",
                    "role",
                    "from",
                    "value",
                    "version",
                    "facts",
                    "files",
                    "mode",
                    "attempts",
                    "step",
                    "reward",
                    "prompt",
                    "id",
                    "image",
                    "steps_with_score",
                    "question",
                    "answer",
                    "system",
                    "prefix",
                    "suffix",
                    "verifier",
                    "correct",
                    "text",
                    "type",
                    "data_offsets",
                    "a",
                ]
            ),
            inner,
        )
    ),
    max_leaves=20,
)
CONTENTS = VALUES.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200)


def bounded(name, content, folder):
    """Reads it, and measures what that takes: the less of three, for other threads and a busy processor are no fault of the reader."""
    for _ in range(3):
        tracemalloc.reset_peak()
        started, before = time.process_time(), tracemalloc.get_traced_memory()[0]
        reads(name, content, folder)
        seconds, grown = time.process_time() - started, tracemalloc.get_traced_memory()[1] - before
        if seconds < SECONDS and grown < BYTES:
            break
    assert seconds < SECONDS
    assert grown < BYTES


@pytest.fixture
def traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("reader", READERS)
def test_no_content_gets_through_a_reader(tmp_path_factory, traced, reader):
    """Fuzz: each case below a second and 200 MB."""
    folder, examples = tmp_path_factory.mktemp("fuzz"), hypothesis.settings().max_examples

    @hypothesis.given(CONTENTS)
    @hypothesis.settings(
        parent=hypothesis.settings(),
        max_examples=examples if examples > 100 else 30,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    def check(content):
        bounded(reader, content, folder)

    check()


LARGE = """
import sys, tempfile
from pathlib import Path
from tests.hostile.test_readers import HOSTILE, READERS, reads
folder = Path(tempfile.mkdtemp())
large = {**HOSTILE, "wide": b"[" + b"1," * 2_000_000 + b"1]", "text": b'{"a": "' + b"x" * 30_000_000 + b'"}',
         "objects": b"[" + b'{"a": 1},' * 300_000 + b"{}]", "open": b"[" * 3_000_000}
for name, content in large.items():
    reads(sys.argv[1], content, folder)  # what is loaded on first use is no cost of a case
    reads(sys.argv[1], content, folder)
# Not ru_maxrss, which begins with what the process held that started this one.
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) // 1024)
"""


@pytest.mark.exhaustive
@pytest.mark.parametrize("reader", READERS)
def test_a_process_that_reads_what_is_large_stays_small(reader):
    """The memory of the whole process, libraries included, as the system counts it."""
    root = Path(hf_rap.__file__).parents[1]
    made = subprocess.run(
        [sys.executable, "-c", LARGE, reader],
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (120, 120)),
    )
    assert made.returncode == 0, made.stderr[-2000:]
    assert int(made.stdout) < 1_000


ALONE = {  # what they read is their own
    "options.py": "read_json, and values made plain",
    "engines/template_trial.py": "what the parent process sends",
    "engines/remembered.py": "notes in the user's own cache",
    "rows/prompts.py": "options made plain",
    "cli/recipe.py": "notes in the folder of a recipe, where it has written them",
    "cli/files.py": "options made plain",
    "cli/options.py": "an option",
    "training/mm_eureka.py": "the message of a row that was exported",
    "verify/finding.py": "an answer of a reply, which has thousands of characters, and of which texts are taken",
    "verify/comparer.py": "what the parent process sends",
    "verify/comparers.py": "what the child process sends",
}


def test_nothing_else_reads_json():
    """One reader for what comes from outside; whoever else calls `json.loads` is in the list, with what it reads."""
    root = Path(hf_rap.__file__).parent
    calls = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in ("loads", "load")
        and ast.unparse(node.value) in ("json", "pickle")
    }
    assert calls == set(ALONE)


@pytest.mark.parametrize("name", ["run.json", "0000000000000000/manifest.json", "writers/0-of-1.json"])
def test_a_pipe_in_a_run_folder_is_not_waited_for(tmp_path, name):
    """Neither is a device read."""
    written(tmp_path, "r/run.json", b'{"format": 2}')
    place = tmp_path / "r" / name
    place.parent.mkdir(exist_ok=True)
    for kind in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        place.unlink(missing_ok=True)
        kind(place)
        if name == "run.json":
            RunFolder(str(tmp_path / "r"))  # written anew, as a torn one is
            continue
        folder = RunFolder(str(tmp_path / "r"))
        assert folder.manifest("0" * 16) == {}
        with Lease(folder, rank=1, world=2) as lease:
            assert lease.others() == []


DEEP = b'{"question": "How many?", "answer": "4", "notes": ' + b"[" * 50_000 + b"]" * 50_000 + b"}\n"
ROW = b'{"question": "How many? ' + b"[{" * 3_000 + b'", "answer": "4", "notes": ["]"]}\n'


@pytest.mark.parametrize("name", ["train.jsonl", "train.json", "train.jsonl.gz", "data/metadata.jsonl"])
@pytest.mark.parametrize("as_folder", [True, False])
def test_a_line_that_would_end_the_process_is_found_before_it_is_read(tmp_path, name, as_folder):
    """Arrow's parser overflows its stack; nothing could be caught. Brackets in texts are none."""
    place = tmp_path / "set" / name
    deep = b'{"a":' * 30_000 + b"1" + b"}" * 30_000
    nulls = [b"null\n" + ROW, b" null\0\n", b"null {}\n" + ROW, b"null" + b" " * 2_000 + b"\n", b"\xef\xbb\xbfnull,\n"]
    for content, fault in ((ROW * 2, None), (ROW + DEEP, 2), (deep, 1), *((content, 1) for content in nulls)):
        written(tmp_path, f"set/{name}", gzip.compress(content) if name.endswith(".gz") else content)
        source = str(tmp_path / "set" if as_folder else place)
        if fault is None:
            assert len(load_source(source)) == 2
            continue
        why = rf"is not read, since its line {fault} (has more than 2,000 lists|is null)"
        with pytest.raises(SourceError, match=why):
            load_source(source)


@pytest.mark.parametrize("name", ["train.jsonl", "train.parquet"])
def test_a_pipe_among_the_files_is_not_waited_for(tmp_path, name):
    """As a file, and in a folder."""
    os.mkfifo(tmp_path / name)
    for source in (tmp_path, tmp_path / name):
        with pytest.raises(SourceError) as caught:
            load_source(str(source))
        assert "\n" not in str(caught.value)


def test_a_step_file_with_such_a_line_loses_that_line(tmp_path):
    """With the reason."""
    fine = b'{"question": "q", "response": "r", "steps_with_score": []}\n'
    for line in (DEEP, b"null\n"):
        ((table, numbers, faults),) = read_blocks(written(tmp_path, "s.jsonl", line + fine + fine))
        assert (len(table), numbers.tolist(), list(faults)) == (3, [1, 2, 3], [0])
        assert str(faults[0]).startswith("line_broken: ")
