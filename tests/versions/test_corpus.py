"""The corpus report of a card: how many steps are wrong, their mean score, what each source keeps."""

from datasets import Dataset

from hf_rap.scorers import bis_score
from hf_rap.select import select_top
from hf_rap.versions.cards import render_card
from hf_rap.versions.facts import collect_facts


def rollout(source, *scores):
    """One with these step scores."""
    return {"source": source, "question": "q", "steps_with_score": [{"step": "s", "score": score} for score in scores]}


def selection():
    """Six steps of source a, of which three are 0; two of b, none of them; of a third source one unusable row."""
    rows = [rollout("a", 1.0, 0.0), rollout("a", 0.5, 0.0, 0.0, 0.25), rollout("b", 1.0, 0.5), rollout("c")]
    ds = Dataset.from_list([{"rap_id": str(number), **row} for number, row in enumerate(rows)])
    return select_top(ds.map(bis_score, batched=True), ratio=0.5)


def test_steps_are_counted_by_hand():
    """a keeps its first row (more reliable), b its only one; c has no step."""
    facts = collect_facts(selection(), name="x", version="1.0.0")["corpus"]
    assert facts["all"] == {"rows": 3, "steps": 8, "wrong": 0.375, "mean": 0.40625}
    assert facts["kept"] == {"rows": 2, "steps": 4, "wrong": 0.25, "mean": 0.625}
    by_source = {entry["source"]: (entry["all"], entry["kept"]) for entry in facts["sources"]}
    assert by_source["a"][0] == {"rows": 2, "steps": 6, "wrong": 0.5, "mean": round(1.75 / 6, 6)}
    assert by_source["a"][1] == {"rows": 1, "steps": 2, "wrong": 0.5, "mean": 0.5}
    assert by_source["b"][1] == {"rows": 1, "steps": 2, "wrong": 0.0, "mean": 0.75}
    assert by_source["c"] == ({"rows": 0, "steps": 0, "wrong": None, "mean": None},) * 2


def test_the_card_says_it():
    """In a sentence, and by source; other cards have no such part."""
    facts = collect_facts(selection(), name="x", version="1.0.0")
    card = render_card(facts)
    assert (
        "**Steps:** 8 in all, 37.5 % of them wrong, with a mean Monte Carlo score of 0.406; 4 in the kept rows" in card
    )
    assert "| `a` | 2 | 1 | 6 | 50.0 % |" in card
    assert "**Steps:**" not in render_card({key: value for key, value in facts.items() if key != "corpus"})
