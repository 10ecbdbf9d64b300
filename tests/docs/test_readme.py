"""README and tour: short, whole, and true in what they say beside their blocks."""

import re
from pathlib import Path

import pytest
from blocks import blocks
from datasets import Dataset, load_dataset

from hf_rap.cli import COMMANDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TOUR = (ROOT / "docs" / "tour.md").read_text()


def test_every_command_is_in_the_first_table():
    """A command that the page about installing does not mention is one that nobody finds."""
    text = (ROOT / "docs" / "install.md").read_text()
    assert [name for name in COMMANDS if f"`hf-rap {name}`" not in text] == []


def test_readme_is_short_and_says_first_what_cde_is():
    """What a newcomer reads in two minutes; the rest stands on pages, which the front page of the site leads to."""
    assert len(README.encode()) <= 5_000
    assert "cde = p1 - p0" in "\n".join(README.splitlines()[:10])
    assert "(docs/index.md)" in README


def test_the_first_selection_is_that_of_the_readme():
    """The page begins with the same lines and output, so that those of the README alone are run every day."""
    assert [block.code for block in blocks("docs/tour.md")[:2]] == [block.code for block in blocks("README.md")[1:3]]


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
