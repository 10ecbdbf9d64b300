"""Every block of the README and of the tour behind it runs, and prints what they say it prints."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import Dataset, load_dataset

from hf_rap.cli import COMMANDS, main
from hf_rap.demo import make_planted

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TOUR = (ROOT / "docs" / "tour.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README + TOUR, flags=re.MULTILINE | re.DOTALL)


def blocks(language):
    """The blocks of one language, in their order."""
    return [text for kind, text in BLOCKS if kind == language]


def test_every_kind_of_block_is_run_here():
    """A block in another language would be one that nothing checks."""
    assert {kind for kind, _ in BLOCKS} == {"sh", "python", "text", "console"}


@pytest.mark.slow
def test_python_prints_what_the_readme_says(tmp_path, monkeypatch, capsys):
    """The Python blocks run one after the other; each is followed by its output."""
    monkeypatch.chdir(tmp_path)
    names = {}
    pairs = [(BLOCKS[i][1], BLOCKS[i + 1]) for i, (kind, _) in enumerate(BLOCKS) if kind == "python"]
    for code, (kind, output) in dict(pairs).items():  # the tour begins as the README does
        assert kind == "text"
        exec(compile(code, "README.md", "exec"), names)
        assert capsys.readouterr().out == output


@pytest.mark.slow
def test_commands_run(tmp_path, monkeypatch, capsys):
    """The shell lines, with Hub names replaced by planted rows and the built-in model, exit with 0."""
    make_planted(24).to_parquet(tmp_path / "planted.parquet")
    monkeypatch.chdir(tmp_path)
    for line in (line for block in blocks("console") for line in block.splitlines()):
        assert line.startswith("$ hf-rap ")
        local = line.replace("hiyouga/geometry3k", "planted.parquet").replace("Qwen/Qwen2.5-VL-3B-Instruct", "demo")
        words = shlex.split(local)[1:]
        words += ["--max-new-tokens", "48"] if "--model" in words else []
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        assert (ended.value.code, local) == (0, local), capsys.readouterr().err
    assert (tmp_path / "geometry3k-rap" / "README.md").is_file()
    assert (tmp_path / "geometry3k-selected" / "README.md").is_file()


def test_make_targets_exist():
    """The two set-up commands are targets of the Makefile (listed, not run: this is one of them)."""
    for line in "".join(blocks("sh")).splitlines():
        words = shlex.split(line, comments=True)
        done = subprocess.run(
            [words[0], "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_every_command_is_in_the_first_table():
    """A command that the page about installing does not mention is one that nobody finds."""
    text = (ROOT / "docs" / "install.md").read_text()
    assert [name for name in COMMANDS if f"`hf-rap {name}`" not in text] == []


def test_readme_is_short_and_says_first_what_cde_is():
    """What a newcomer reads in two minutes; the rest stands on pages, each of which it leads to."""
    assert len(README.encode()) < 6_000
    assert "cde = p1 - p0" in "\n".join(README.splitlines()[:10])
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    behind = {"evidence.md", "compatibility.md", "index.md"}  # the tour leads there; the site begins there
    behind |= {"glossary.md", "funnel.md", "faq.md", "troubleshooting.md"}  # the site's Help
    # Beside pages that the README names, as the site's Start and Guides have them.
    behind |= {
        "install.md",
        "choose-model.md",
        "costs.md",
        "how-it-works.md",
        "vllm.md",
        "servers.md",
        "transformers.md",
    }
    behind |= {"cde.md", "stability.md", "band.md"}  # the site's Understand
    assert {name for name in pages if f"(docs/{name})" not in README} <= behind


@pytest.mark.parametrize(("page", "text"), [("README.md", README), ("docs/tour.md", TOUR)])
def test_links_lead_somewhere(page, text):
    """To pages, and to headings of them."""
    for target in set(re.findall(r"\]\(((?!http).*?)\)", text)):
        name, _, heading = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.exists(), target
        heads = (
            [
                re.sub(r"[^\w -]", "", line.lstrip("# ")).lower().replace(" ", "-")
                for line in path.read_text().splitlines()
                if line.startswith("#")
            ]
            if heading
            else []
        )
        assert not heading or heading in heads, target


def test_every_scorer_is_in_the_table():
    """Each ready-made score has its row."""
    from hf_rap.scorers import SCORERS

    text = (ROOT / "docs" / "how-it-works.md").read_text()
    assert [name for name in SCORERS if f"| `{name}_score` |" not in text] == []


def test_what_is_kept_is_as_the_tour_says(tmp_path):
    """By datasets itself: rows from files once, rows in memory and interrupted ones each time."""
    log = tmp_path / "log"

    def write_down(batch):
        with log.open("a") as file:
            file.write("x")
        if (tmp_path / "stop").exists():
            raise KeyboardInterrupt
        return {"seen": [True] * len(batch["id"])}

    memory = Dataset.from_dict({"id": ["a", "b"]})
    memory.to_parquet(tmp_path / "rows.parquet")
    stored = load_dataset("parquet", data_files=str(tmp_path / "rows.parquet"), split="train", cache_dir=str(tmp_path))
    for rows, times in ((memory, 2), (stored, 1)):
        log.write_text("")
        for _ in range(2):
            rows.map(write_down, batched=True, new_fingerprint=f"kept-{times}")
        assert len(log.read_text()) == times
    (tmp_path / "stop").touch()
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            stored.map(write_down, batched=True, new_fingerprint="interrupted")
    assert len(log.read_text()) == 1 + 2
