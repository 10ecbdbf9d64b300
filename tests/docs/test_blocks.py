"""Every block of code on README and the pages of docs is run, or says why not and is read."""

import random
import re
import shutil
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from block_checks import problems
from block_runs import commands, split
from blocks import PAGES, ROOT, TIERS, blocks, read, tiers, whole
from sybil.example import SybilFailure

from hf_rap import (
    Completion,
    Rollouts,
    TransformersEngine,
    add_scores,
    cde_score,
    difficulty_score,
    publish_to_folder,
    select_cognitive,
)
from hf_rap.cli.files import write_file
from hf_rap.demo import MODEL, make_planted

RUNS = [
    pytest.param(page, tier, marks=[getattr(pytest.mark, TIERS[tier])] if tier else [], id=f"{page}-{TIERS[tier]}")
    for page in PAGES
    for tier in sorted(tiers(page))
]


# Files that a page may take for granted, but for those that it writes first, and what is in them.
FILES = {
    "rows": "ds",
    "planted": "ds",
    "evidence": "evidence",
    "scored": "scored",
    "before": "scored",
    "after": "scored",
    "selection": "selection",
}


@dataclass(frozen=True)
class Knows:
    """An engine that is right in about two of three attempts with the image, and in one of four without."""

    golds: dict

    def complete(self, requests, sampling):
        return [
            [
                Completion(self.answer(request, attempt), 3, False)
                for attempt in range(request.first, request.first + request.attempts)
            ]
            for request in requests
        ]

    def answer(self, request, attempt):
        draw = random.Random(f"{request.row_id} {request.arm} {attempt}").random()
        right = draw < (0.65 if request.images else 0.25)
        return rf"\boxed{{{self.golds[request.row_id] if right else 'unknown'}}}"

    def describe(self):
        return {"engine": "knows", "model": "its golds"}


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """The built-in model with room for the 1,024 tokens that a reply may have where a page does not say."""
    folder = Path(shutil.copytree(MODEL, tmp_path_factory.mktemp("model") / "roomy"))
    for file, limit in (("config.json", "max_position_embeddings"), ("tokenizer_config.json", "model_max_length")):
        text = (folder / file).read_text(encoding="utf-8")
        assert f'"{limit}": 512' in text
        (folder / file).write_text(text.replace(f'"{limit}": 512', f'"{limit}": 4096'), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def given(model):
    """What pages take for granted: name -> what makes it, once."""

    @cache
    def ds():
        return make_planted(24)

    @cache
    def evidence():
        golds = dict(zip(ds()["id"], ds()["answer"], strict=True))
        return ds().map(Rollouts(Knows(golds), attempts=5), batched=True)

    @cache
    def scored():
        return add_scores(evidence(), cde_score, difficulty_score)

    return {
        "ds": ds,
        "engine": cache(lambda: TransformersEngine(str(model), device="cpu", dtype="float32", batch_size=16)),
        "evidence": evidence,
        "scored": scored,
        "selection": cache(lambda: select_cognitive(scored(), min_cde=0.1)),
    }


@pytest.fixture
def no_modules_of_others(tmp_path, monkeypatch):
    """A page may give a module of its own a name that another test has taken."""
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(tmp_path.parent):
            monkeypatch.delitem(sys.modules, name)


@pytest.fixture
def folder(given, model, tmp_path, monkeypatch, no_modules_of_others):
    """Where a page runs: data and models of the Hub are small ones of the same names."""

    def furnish(text):
        for name in ("SOURCE", "hiyouga/geometry3k", "lmms-lab/ScienceQA-IMG"):
            if name in text:
                (tmp_path / name).mkdir(parents=True)
                given["ds"]().to_parquet(tmp_path / name / "train.parquet")
        if "AI4Math/MathVista#testmini" in text:
            (tmp_path / "AI4Math/MathVista/data").mkdir(parents=True)
            file = tmp_path / "AI4Math/MathVista/data/testmini-00000-of-00001.parquet"
            make_planted(6, seed=1).to_parquet(file)
        for name in ("MODEL", "Qwen/Qwen2.5-VL-3B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).symlink_to(model)
        for name, kind in FILES.items():
            first = re.search(rf"(--out )?\b{name}\.parquet", text)
            if first and not first[1]:
                write_file(given[kind](), tmp_path / f"{name}.parquet")
        if "export" in text and "geometry3k-rap" in text and "--to-folder geometry3k-rap" not in text:
            publish_to_folder(given["selection"](), "geometry3k-rap", version="1.0.0")

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return furnish


@pytest.mark.parametrize("page", PAGES)
def test_every_block_has_a_kind_and_is_sound(page):
    """Python compiles and imports what there is, commands and their options exist, what is not run says why."""
    assert problems(page) == []


@pytest.mark.parametrize(("page", "tier"), RUNS)
def test_blocks_run_and_print_what_the_page_says(page, tier, folder, given):
    """From the first on, in one folder and one namespace, up to those that only a longer round runs."""
    documents = whole(page)
    folder("".join(document.text for document in documents))
    documents[0].namespace["__given__"] = given
    for example in (example for document in documents for example in document.examples()):
        if example.parsed.runs and example.parsed.tier <= tier:
            example.evaluate()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("```python\nprint(1)\n```", None),
        ("```\n1\n```", "1: a block of the kind `` is one that nothing checks"),
        ("```ruby\n1\n```", "1: a block of the kind `ruby` is one that nothing checks"),
        ("Text\n\n    hf-rap inspect a\n", "3: an indented block has no kind"),
        ("```py\n1\n```", "1: `py` is not run, and nothing says why"),
        ("```bash\nls\n```", "1: `bash` is not run, and nothing says why"),
        ("<!-- not run: it takes a GPU -->\n```bash\nls\n```", None),
        ("<!-- not run: -->\n```bash\nls\n```", "2: `<!-- not run: REASON -->` lacks its reason"),
        ("```python\nif\n```", "1: this is no Python"),
        ("```python\nfrom hf_rap import no_such\n```", "1: hf_rap has no no_such."),
        ("```python\nimport hf_rap\nhf_rap.no_such()\n```", "1: hf_rap has no no_such."),
        ("```console\n$ hf-rap inspect a#b 'c d'  # remark\n$ hf-rap env && hf-rap report a\n```", None),
        ("```console\nhf-rap inspect a\n```", "1: `console` begins with a command"),
        ("```console\n$ hf-rap inspect a --no-such\n```", "1: `hf-rap inspect a --no-such`: No such option"),
        (
            "```console\n$ hf-rap score a \\\n    --out\n```",
            "1: `hf-rap score a --out`: Option '--out' requires an argument",
        ),
        ("```console\n$ hf-rap env && hf-rap inspect\n```", "1: `hf-rap inspect`: Missing argument"),
        ("```console\n$ hf-rap no-such\n```", "1: `hf-rap no-such`: hf-rap has no command"),
        ("```console\n$ accelerate launch -m hf_rap rollouts a --no-such\n```", "No such option"),
        ("```console\n$ make no-such\n```", "1: `make no-such`: the Makefile has no no-such"),
        ("```console\n$ python scripts/no.py\n```", "1: `python scripts/no.py`: there is no scripts/no.py"),
        ("```console\n$ ls 'a\n```", "1: a shell would not read this"),
        ("```text\n1\n```", "1: `text` is the output of the block above it"),
        ("```yaml\na: [\n```", "1: this is no yaml"),
    ],
)
def test_what_is_wrong_with_a_block_is_said(text, problem, tmp_path):
    """The page, the line, and a sentence."""
    page = tmp_path / "page.md"
    page.write_text(f"{text}\n", encoding="utf-8")
    found = problems(str(page))
    assert len(found) == (problem is not None)
    assert all(problem in sentence and str(page) in sentence for sentence in found)


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("```python\nprint('a b')\n```\n```text\na ...\n```", None),
        ("```python\na = 1\n```\n```python\nprint(a)\n```\n```text\n2\n```", "the page has\n2\n"),
        ("```python\nprint(1)\nprint(2)\n```\n```text\n1\n```", "the page has\n1\n"),
        ("<!-- file: a.txt -->\n```text\none\ntwo\n```\n```console\n$ cat a.txt\n```\n```text\ntwo\n```", None),
        ("```console\n# a remark\n$ echo one\n# another\n$ echo two\ntwo\n```", None),
        ("```console\n$ echo one\ntwo\n```", "the page has\ntwo\n"),
        ("```console\n$ hf-rap inspect nowhere.parquet\n```", "ended with 1"),
        ("<!-- invisible-code-block: python\na = 3\n-->\n```python\nprint(a)\n```\n```text\n3\n```", None),
        ("```python\nprint(len(ds))\n```\n```text\n24\n```", None),
    ],
)
def test_what_a_block_does_otherwise_is_said(text, trouble, tmp_path, folder, given):
    """One namespace and one folder a page; what follows a command may be whole lines of its output."""
    page = tmp_path / "page.md"
    page.write_text(f"{text}\n", encoding="utf-8")
    document = read(str(page))
    document.namespace["__given__"] = given
    with nullcontext() if trouble is None else pytest.raises(SybilFailure, match=trouble):
        for example in document.examples():
            example.evaluate()


def test_marks_hold_for_what_is_below(tmp_path):
    """A reason for one block, a tier for all up to the next."""
    page = tmp_path / "page.md"
    run = "```python\n1\n```\n"
    page.write_text(
        f"{run}<!-- not run: why -->\n{run}<!-- slow -->\n{run}<!-- exhaustive -->\n{run}{run}<!-- fast -->\n{run}",
        encoding="utf-8",
    )
    found = [(example.parsed.runs, TIERS[example.parsed.tier]) for example in read(str(page)).examples()]
    assert found == [
        (True, "fast"),
        (False, "fast"),
        (True, "slow"),
        (True, "exhaustive"),
        (True, "exhaustive"),
        (True, "fast"),
    ]


def job_trouble(words):
    """What the client of the Hub says against a line of jobs, resolved and not submitted, without a network.

    An option that it does not know it takes for the script.
    """
    client = str(Path(sys.executable).with_name("hf"))
    done = subprocess.run(
        [client, *words[1:4], "--dry-run", *words[4:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    script = re.search(r"^ +script +(\S+\.py)$", done.stdout, re.MULTILINE)
    return None if done.returncode == 0 and script else done.stdout + done.stderr


@pytest.mark.slow
def test_lines_of_jobs_are_resolved(tmp_path):
    """Every `hf jobs uv run` of a page; and an option that is not there is seen."""
    script = tmp_path / "job.py"
    script.write_text("# /// script\n# dependencies = []\n# ///\n", encoding="utf-8")
    assert "--no-such" in job_trouble(["hf", "jobs", "uv", "run", "--no-such", str(script)])
    lines = [
        words
        for page in PAGES
        for block in blocks(page)
        if block.kind in ("bash", "console")
        for command, _ in commands(block)
        for words in split(command)
        if words[:4] == ["hf", "jobs", "uv", "run"]
    ]
    lines.append(["hf", "jobs", "uv", "run", "--flavor", "a10g-small", "--timeout", "4h", str(script), "--rows", "9"])
    assert [trouble for words in lines if (trouble := job_trouble(words))] == []
