"""Write into docs/trainers the lines that `hf-rap export` prints for each trainer: for a thousand rows, of which as many are held out as by default.

python scripts/render_trainers.py
"""

from __future__ import annotations

import re
from pathlib import Path

from hf_rap.exports.base import Given
from hf_rap.exports.limits import Limits
from hf_rap.exports.trainers import TRAINERS
from hf_rap.rows.prompts import DEFAULT_PROMPT

FOLDER = Path(__file__).parents[1] / "docs" / "trainers"
# Between these marks of a page stand the lines for one trainer.
MARKED = re.compile(r"(<!-- scripts/render_trainers.py: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
ROWS, GPUS = 1000, 8
KINDS = {"llama-factory": "yaml", "openai-chat": "text"}  # of code; all others are for a shell


def lines_of(name: str) -> str:
    """To paste, of rows with one image each that are asked as they were scored."""
    trainer = TRAINERS[name]
    held_out = Limits().held_out(ROWS, needed=trainer.accepts.validates)
    return trainer.snippet(
        Given(
            Path(f"/data/geometry3k-{name}"),
            ROWS - held_out,
            max_images=1,
            held_out=held_out,
            gpus=GPUS,
            prompted=True,
            prompt=DEFAULT_PROMPT,
        )
    )


def with_lines(page: str) -> str:
    """The page with the lines as they are today."""
    return MARKED.sub(lambda match: f"{match[1]}\n{block(match[2])}\n{match[3]}", page)


def block(name: str) -> str:
    """The lines as code, which is not run."""
    return f"<!-- not run: it starts a training -->\n```{KINDS.get(name, 'bash')}\n{lines_of(name).strip()}\n```\n"


def main() -> None:
    for path in FOLDER.glob("*.md"):
        path.write_text(with_lines(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
