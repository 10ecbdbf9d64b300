"""docs/doubt.md: its commands exist, and its probabilities are those of the score."""

import re
import shlex
from pathlib import Path

from hf_rap import gold_doubt_score
from hf_rap.cli import cli

TEXT = (Path(__file__).parents[2] / "docs/doubt.md").read_text(encoding="utf-8")


def test_commands_and_their_options_exist():
    """Also those behind `&&`, and without their remarks."""
    lines = re.findall(r"^    hf-rap (.*?)(?:  +#.*)?$", TEXT, re.MULTILINE)
    commands = [words for line in lines for words in line.split(" && hf-rap ")]
    assert len(commands) == 6
    for command in commands:
        name, *words = shlex.split(command)
        options = {option for parameter in cli.get_command(None, name).params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options


def test_the_probabilities_of_the_page():
    """Attempts that agree on 7 with a gold of 3, and what the text arm adds or takes."""
    seven, three = r"\boxed{7}", r"\boxed{3}"
    rows = [([seven] * 5, []), ([seven] * 10, []), ([seven] * 5, [seven] * 5), ([seven] * 5, [three] * 5)]
    batch = {}
    for place, arm in enumerate(("image", "text")):
        batch[f"rap_{arm}_responses"] = [row[place] for row in rows]
        batch[f"rap_{arm}_rewards"] = [[float(reply == three) for reply in row[place]] for row in rows]
    said = [float(number) for number in re.findall(r"\b0\.\d\d\b", TEXT.partition("- Five attempts")[2])[:4]]
    assert [round(doubt, 2) for doubt in gold_doubt_score(batch)["rap_gold_doubt"]] == said
