"""The pages under Help: questions, messages, the funnel and the glossary."""

import ast
import json
import re
from pathlib import Path

import pytest
from blocks import blocks
from datasets import Dataset

from hf_rap import add_scores, cde_score, difficulty_score, select_cognitive
from hf_rap.select.methods import METHODS
from hf_rap.select.top import TOP

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LINK = re.compile(r"\]\(([\w./-]+\.md)(?:#[\w-]+)?\)")
FUNNEL = (DOCS / "funnel.md").read_text("utf-8")
OUTPUTS = [block.code for block in blocks("docs/funnel.md", "text")]


@pytest.fixture(scope="module")
def selection():
    """The demo's rows by the counts that its model gave, selected."""
    counts = json.loads((DOCS / "evidence" / "planted-counts.json").read_text("utf-8"))["600 rows, seed 0, 5 attempts"]
    arms = [
        [None if row[place] is None else [1.0] * row[place] + [0.0] * (5 - row[place]) for row in counts]
        for place in (1, 2)
    ]
    rows = {
        "rap_id": [f"planted-0-{number:05}" for number in range(len(counts))],
        "rap_image_rewards": arms[0],
        "rap_text_rewards": arms[1],
        "rap_error": ["gold_unreadable: no answer" if row[1] is None else None for row in counts],
    }
    return select_cognitive(add_scores(Dataset.from_dict(rows), cde_score, difficulty_score))


def messages(folder):
    """Every text in the code below a folder but its docstrings, "..." where a value is put in."""
    found = set()
    for path in sorted(folder.rglob("*.py")):
        nodes = [*ast.walk(ast.parse(path.read_text("utf-8")))]
        alone = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if id(node) in alone:
                continue
            if isinstance(node, ast.JoinedStr):
                found.add("".join(part.value if isinstance(part, ast.Constant) else "..." for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def is_said(words, texts):
    """Whether these words, "..." for a value, stand in one of the texts."""
    wanted = re.compile(".{0,60}".join(re.escape(part.strip()) for part in words.split("...")), re.IGNORECASE)
    return any(wanted.search(text) for text in texts)


def sections(page):
    """Heading -> text below it."""
    return dict(part.split("\n", 1) for part in (DOCS / page).read_text("utf-8").split("\n## ")[1:])


def test_every_word_of_the_glossary_leads_to_its_page():
    """In the order of the alphabet, in at most three sentences; `see` another word is enough."""
    words = sections("glossary.md")
    asked = "Arm Attempt Evidence Gold Planted Version Floor Band Jaccard GRPO cde Posterior Prior Probe Part Rule Reason Shard"
    assert {*asked.split(), "Pass rate", "Run folder"} <= set(words)
    assert list(words) == sorted(words, key=str.lower)
    for word, text in words.items():
        assert LINK.search(text) or text.strip().startswith("See ["), word
        prose = LINK.sub("", text)
        assert len(re.findall(r"[.:] [A-Z`\[]", prose)) <= 4, word


def test_the_funnel_is_that_of_the_demo(selection):
    """Line by line."""
    assert OUTPUTS[0] == f"{selection}\n"


@pytest.mark.slow
def test_what_stands_below_the_funnel_is_that_of_the_demo(selection, capsys):
    """But for the two shares that the replies themselves tell, which the counts lack."""
    from hf_rap.cli.output import print_health, print_stability
    from hf_rap.select.stability import describe_stability
    from hf_rap.stats.health import check_health

    stability = describe_stability(selection)
    print_stability(stability)
    print_health(check_health(selection.scored, agreement=stability["jaccard"]).as_dict())
    assert capsys.readouterr().out == OUTPUTS[1].replace("replies cut off 0%, without an answer 0%, ", "")


def test_every_step_and_remark_of_a_funnel_is_explained():
    """Steps that a method of ours names or counts, and the words that remarks are made of."""
    code = "".join(path.read_text("utf-8") for path in (ROOT / "hf_rap" / "select").glob("*.py"))
    steps = set(re.findall(r'Step\("(\w+)"|step="(\w+)"|\.count\("(\w+)"', code))
    names = {name for found in steps for name in found if name}
    for method in (*METHODS.values(), TOP):
        if not callable(method.steps):
            names |= set(method.steps)
    assert {"rows", "replaced", "filled", "within_question_cap", "not_dropped_by_hand"} <= names
    assert [name for name in sorted(names) if f"`{name}`" not in FUNNEL] == []
    rows = FUNNEL.split("| a remark says")[1].split("\n\n")[0].splitlines()[2:]
    remarks = [row.split("|")[1].strip() for row in rows]
    assert len(remarks) == 8
    said = messages(ROOT / "hf_rap" / "select")
    assert [words for words in remarks if not is_said(words, said)] == []


QUESTIONS = {
    "Which model?": "choose-model.md",
    "How many attempts?": "choose-model.md",
    "Which threshold?": "choose-model.md",
    "What does it cost?": "costs.md",
    "Can a row have several images?": "data/pictures.md",
    "What about rows of text only?": "data/pictures.md",
    "Can answers be free text?": "graders.md",
    "Does it read video?": "your-data.md",
    "How do I add a scorer of my own?": "extending.md",
    "How do I add an engine of my own?": "extending/engine.md",
    "Why was a row dropped?": "reference/reasons.md",
    "When is a plain band of pass rates enough?": "band.md",
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_two_clicks_from_the_front_page(question):
    """From there to the list of questions, from the list to the answer; and from there to a page that says more."""
    front = (DOCS / "index.md").read_text("utf-8")
    clicks = re.findall(r"\]\(([^)]+)\)", front)
    assert "faq.md" in clicks
    page = (DOCS / "faq.md").read_text("utf-8")
    listed = page[: page.index("\n## ")]
    anchor = re.sub(r"[^\w -]", "", question).lower().replace(" ", "-")
    assert f"- [{question}](#{anchor})" in listed
    answer = sections("faq.md")[question]
    assert QUESTIONS[question] in LINK.findall(answer)
    assert len(re.findall(r"[.!?](?:\s|$)", answer)) >= 2


def test_the_list_of_questions_is_complete():
    """Each has its place in the list, in the order of the page."""
    listed = re.findall(r"^- \[([^\]]+)\]\(#", (DOCS / "faq.md").read_text("utf-8"), re.MULTILINE)
    assert listed == list(sections("faq.md"))
    assert set(QUESTIONS) <= set(listed)


def test_figures_of_the_answers_stand_where_they_were_measured():
    """A decimal or a percentage that no other page has is one that nobody can check."""
    others = "".join(path.read_text("utf-8") for path in DOCS.rglob("*.md") if path.name not in ("faq.md", "funnel.md"))
    figures = re.findall(r"\d+\.\d+|\d+(?= %)", (DOCS / "faq.md").read_text("utf-8"))
    assert len(figures) > 15
    assert [figure for figure in figures if not re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d.]*\d)", others)] == []


@pytest.mark.slow
def test_every_message_of_the_page_is_one_of_ours():
    """As it stands in the code, with what it means or what to do."""
    rows = [
        [cell.strip() for cell in line.strip("| \n").split(" | ")]
        for line in (DOCS / "troubleshooting.md").read_text("utf-8").splitlines()
        if line.startswith("| ") and not line.startswith(("| message", "| ---"))
    ]
    assert len(rows) > 50
    said = messages(ROOT / "hf_rap")
    assert not is_said("The weights of ... are not those of another", said)
    assert [row[0] for row in rows if not is_said(row[0], said)] == []
    assert [row[0] for row in rows if not any(row[1:])] == []
