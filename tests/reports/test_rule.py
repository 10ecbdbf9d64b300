"""A page decides as Python does: keep, reason and funnel of every row, for thresholds that were moved."""

import random

import pytest

from hf_rap import select_cognitive, select_difficulty, select_top
from hf_rap.errors import SettingError
from hf_rap.reports.rules import rule_of


def check(selection_of, start, settings, decided):
    """What the page makes of the rule of `start` with these settings, row for row."""
    rule = rule_of(selection_of(**start), None)
    assert rule["kind"] is not None
    moved = [{**rule["settings"], **each} for each in settings]
    for each, found in zip(settings, decided(rule, moved), strict=True):
        try:
            selection = selection_of(**{**start, **each})
        except SettingError:
            assert list(found) == ["short"], each
            continue
        wanted = selection.scored.select_columns(["rap_keep", "rap_reason"]).to_dict()
        assert found["keep"] == [int(keep) for keep in wanted["rap_keep"]], each
        assert found["reason"] == wanted["rap_reason"], each
        assert [(step["step"], step["rows"], step["came_in"]) for step in found["funnel"]] == [
            tuple(step) for step in selection.funnel
        ], each


@pytest.mark.parametrize(
    "start",
    [
        {"max_ace": None},
        {"max_ace": 0.6},
        {"replace_easy": False, "max_ace": None},
        {"method": "rap-paper", "max_ace": None},
        {"budget": 60, "max_ace": 0.9},
        {"budget": 150, "max_ace": None, "min_replacement_cde": None},
        {"replacements": 0.5, "max_ace": None},
        {"replacements": 3, "max_ace": None, "seed": 4},
        {"replacements": 1.0, "max_ace": 0.4},
        {"min_cde": "q0.7", "max_ace": "q0.9"},
    ],
    ids=str,
)
def test_rap_is_the_same_for_twenty_settings(rows, decided, start):
    """On the attempts' own steps, between them, and at the ends."""
    draw = random.Random(str(start))
    names = ["min_cde"]
    names += ["max_ace"] if start.get("max_ace") is not None else []
    floor = (
        start.get("replace_easy", True)
        and start.get("method") is None
        and start.get("min_replacement_cde", 1) is not None
    )
    names += ["min_replacement_cde"] if floor else []
    choices = {
        "min_cde": lambda: draw.choice([-1, 1, 0, 0.2, 0.4, 0.6, round(draw.uniform(-1, 1), 4)]),
        "max_ace": lambda: round(draw.uniform(0, 1), 4),
        "min_replacement_cde": lambda: draw.choice([-1, 0.2, 0.6, round(draw.uniform(-1, 1), 4)]),
    }
    settings = [{}, *({name: choices[name]() for name in names} for _ in range(20))]
    check(lambda **options: select_cognitive(rows, **options), start, settings, decided)


def test_marks_of_a_person_go_before_the_moved_rule(rows, decided):
    """Kept, dropped and wrong golds, of rows that the rule keeps and of those that it drops."""
    marks = {f"r{place}": ("keep", "drop", "wrong_gold")[place % 3] for place in range(2, 60)}
    start = {"max_ace": None, "overrides": marks}
    check(lambda **options: select_cognitive(rows, **options), start, [{}, {"min_cde": 0.1}, {"min_cde": 0.9}], decided)
    start = {"low": 0.2, "high": 0.8, "overrides": marks}
    check(lambda **options: select_difficulty(rows, **options), start, [{}, {"low": 0.6}], decided)


def test_a_budget_that_cannot_be_met_is_said(rows, decided):
    """Python refuses it; the page says how many rows have a score and an ace of at most 0.2."""
    rule = rule_of(select_cognitive(rows, max_ace=0.9, budget=120, replace_easy=False), None)
    (found,) = decided(rule, [{**rule["settings"], "max_ace": 0.2}])
    known = zip(rows["rap_id"], rows["rap_cde"], rows["rap_ace"], strict=True)
    seen, could = set(), 0
    for name, cde, ace in known:
        could += name not in seen and cde is not None and ace is not None and ace <= 0.2
        seen.add(name)
    assert found == {"short": could}


def test_the_band_is_the_same_for_twenty_settings(rows, decided):
    """Bounds on the grid count in, though 1 - 0.7 is no double: 0.3 of the band's other side is."""
    draw = random.Random(1)
    settings = [{}, {"low": 0.2, "high": 0.8}, {"low": 0.4, "high": 0.4}, {"low": 0.7, "high": 0.9}]
    for _ in range(20):
        low, high = sorted(draw.choice([0, 0.2, 0.6, 1, round(draw.random(), 4)]) for _ in range(2))
        settings.append({"low": low, "high": high})
    check(lambda **options: select_difficulty(rows, **options), {"low": 1 / 3, "high": 0.87}, settings, decided)


@pytest.mark.parametrize(
    "start",
    [
        {"by": "rap_cde", "ratio": 0.1, "per": "source"},
        {"by": "rap_ace", "ratio": 0.5, "per": None, "lowest": True, "ties": "first"},
        {"by": "rap_difficulty", "ratio": 0.3, "per": "source", "seed": 5},
    ],
    ids=str,
)
def test_top_is_the_same_for_twenty_shares(rows, decided, start):
    """The whole part of share times size, exactly: 0.29 of 100 is 29."""
    draw = random.Random(2)
    settings = [{}, {"ratio": 0.29}, {"ratio": 1}, *({"ratio": round(draw.uniform(0.01, 1), 4)} for _ in range(20))]
    check(lambda **options: select_top(rows, **options), start, settings, decided)


def test_top_is_the_same_for_numbers_of_rows(rows, decided):
    """Where one quota is for all."""
    start = {"by": "rap_cde", "count": 10, "per": None}
    check(lambda **options: select_top(rows, **options), start, [{}, {"count": 1}, {"count": 150}], decided)


@pytest.mark.parametrize(
    ("selection_of", "word"),
    [
        (lambda ds: select_cognitive(ds, method="random", budget=20), "'random'"),
        (lambda ds: select_top(ds, by="rap_cde", count=20, per="source"), "among sources"),
        (lambda ds: select_cognitive(ds, max_ace=None, budget=20, stratify_by="source"), "'source'"),
    ],
)
def test_rules_without_a_threshold_say_so(rows, selection_of, word):
    """And are shown as they were decided."""
    rule = rule_of(selection_of(rows), None)
    assert (rule["kind"], rule["handles"]) == (None, [])
    assert word in rule["why"]
