"""benchmarks/bakeoff.py: the pool with shortcuts, the recipe, the verdict on made-up results, and going on after a kill."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hf_rap.demo.pictures import CELL, COLOURS, PLACES
from hf_rap.errors import SettingError

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "benchmarks" / "bakeoffs").glob("*.yaml"))
TINY = {
    "model": "shortcuts",
    "pool": "shortcuts",
    "held_out": "shortcuts",
    "selections": {"rap": {"method": "rap"}},
    "steps": 10,
}


@pytest.fixture
def benchmark(monkeypatch):
    """The modules of the benchmark, which import each other by their plain names."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def by_text_alone(row):
    """What somebody answers who reads the question, knows the trick of its kind and sees no picture."""
    text = row["problem"].removeprefix("<image>")
    if row["kind"] == "hint":
        return re.match(r"Hint: (\w+)\. ", text)[1]
    if row["kind"] == "options":
        return re.match(r"(\w+) or \w+\? ", text)[1]
    colour, form = re.match(r"A picture of a (\w+) (\w+)\. ", text).groups()
    return colour if "What colour" in text else form


class TestThePool:
    def test_text_gives_the_answer_away_to_train_on_and_not_where_it_is_measured(self, benchmark):
        """Hints and captions: always, then never. The first of two options: always, then by chance."""
        import shortcuts

        counts = dict.fromkeys(shortcuts.SHORTCUTS, 20)
        for leaks, shares in ((True, (20, 20, 20)), (False, (0, range(4, 17), 0))):
            rows = shortcuts.make_rows(counts, seed=5, leaks=leaks)
            for kind, expected in zip(counts, shares, strict=True):
                right = sum(by_text_alone(row) == row["answer"] for row in rows if row["kind"] == kind)
                assert right == expected if leaks or kind != "options" else right in expected, kind
            assert [row["suggested"] for row in rows] == [by_text_alone(row) for row in rows]

    def test_gold_is_in_the_picture_whatever_the_text_says(self, benchmark):
        """The middle of the cell that is asked about has the colour of the gold, in rows whose text misleads, too."""
        import shortcuts

        for leaks in (True, False):
            rows = shortcuts.make_rows(dict.fromkeys(shortcuts.SHORTCUTS, 12), seed=7, leaks=leaks)
            asked = [row for row in rows if row["source"] == "colour_at"]
            assert len(asked) > 8
            for row in asked:
                cell = next(index for index, place in enumerate(PLACES) if f"at the {place}?" in row["problem"])
                middle = (cell % 3 * CELL + CELL // 2, cell // 3 * CELL + CELL // 2)
                assert row["images"][0].getpixel(middle) == COLOURS[row["answer"]]

    def test_option_that_is_right_is_one_of_the_two(self, benchmark):
        """Held out, the gold is named first or second, and the other one is wrong."""
        import shortcuts

        for row in shortcuts.make_rows({"options": 15}, seed=3, leaks=False):
            first, second = re.match(r"<image>(\w+) or (\w+)\? ", row["problem"]).groups()
            assert first != second
            assert row["answer"] in (first, second)

    def test_other_kinds_suggest_nothing(self, benchmark):
        """A plain question has no hint before it, and what a row suggests is null."""
        import shortcuts

        for row in shortcuts.make_rows(
            {"needs_image": 4, "hard": 3, "trivial": 3, "unsolvable": 3}, seed=1, leaks=True
        ):
            assert row["suggested"] is None
            assert re.match(r"<image>(What colour|Which shape|Where is|Is \w+ a colour|Which number)", row["problem"])

    def test_pool_has_the_shares_that_are_told(self, benchmark):
        """Of 50 rows: 13 and 5 that need their image, 8 of each shortcut, 4 and 4 of the others; no id is held out."""
        import shortcuts

        pool = shortcuts.make_pool(50, seed=0)
        assert {kind: pool["kind"][:].count(kind) for kind in shortcuts.POOL} == dict(
            zip(shortcuts.POOL, (13, 5, 8, 8, 8, 4, 4), strict=True)
        )
        assert pool["id"][0] == "shortcut-0-00000"
        assert shortcuts.make_rows({"hint": 1}, seed=shortcuts.HELD_OUT_SEED, leaks=False)["id"][0] not in pool["id"][:]

    def test_start_is_taught_replies_that_do_not_depend_on_what_is_right(self, benchmark):
        """Of 400 lessons with a shortcut half say what the text suggests, a third guess, and what is suggested is often wrong."""
        from random import Random

        import shortcuts

        lessons = [shortcuts.lesson(Random(f"test {place}")) for place in range(700)]
        tricky = [one for one in lessons if re.match(r"Hint: |\w+ or \w+\? |A picture", one.question)]
        says = sum("the question says" in one.reply for one in tricky) / len(tricky)
        guesses = sum("i guess" in one.reply for one in tricky) / len(tricky)
        assert (round(says, 1), round(guesses, 1)) == (0.5, 0.3) or (round(says, 1), round(guesses, 1)) == (0.5, 0.4)


class TestTheRecipe:
    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            ({"model": None}, r"^model is None: it takes a text\.$"),
            ({"steps": 0}, r"^steps is 0: it takes a whole number of 1 or more"),
            ({"steps": "many"}, r"^steps is 'many': it takes a whole number\.$"),
            ({"seeds": True}, r"^seeds is True: it takes a whole number\.$"),
            ({"selections": {}}, r"^selections is \{\}: it takes at least one, as NAME: \{method: rap\}"),
            ({"selections": {"random": {"method": "rap"}}}, r"^The selection 'random' is always among the arms"),
            ({"selections": {"one": {"method": "rapp"}}}, r"^method is 'rapp': it takes one of rap, "),
            ({"selections": {"one": "rap"}}, r"^selections\.one is 'rap': it takes options, as \{method: rap\}"),
            ({"learning_rate": 1}, r"^'learning_rate' is no field of a recipe: there are model, pool, "),
        ],
    )
    def test_what_is_wrong_is_a_sentence(self, benchmark, change, sentence):
        """Before anything runs."""
        from bakeoff_recipe import recipe_of

        with pytest.raises(SettingError, match=sentence):
            recipe_of({**TINY, **change})

    def test_what_is_missing_is_named(self, benchmark):
        """All of it at once."""
        from bakeoff_recipe import recipe_of

        with pytest.raises(SettingError, match=r"^it lacks pool, selections\.$"):
            recipe_of({"model": "shortcuts", "held_out": 3})

    @pytest.mark.parametrize(
        ("text", "sentence"), [("- a", "holds list"), ("a: [", "cannot be read"), ("", "holds NoneType")]
    )
    def test_file_that_is_no_recipe(self, benchmark, tmp_path, text, sentence):
        """It is named."""
        from bakeoff_recipe import read_recipe

        (tmp_path / "r.yaml").write_text(text)
        with pytest.raises(SettingError, match=rf"^The recipe .*r\.yaml {sentence}"):
            read_recipe(tmp_path / "r.yaml")

    def test_controls_are_always_there(self, benchmark):
        """The whole pool and random rows come first."""
        from bakeoff_recipe import recipe_of

        assert recipe_of(TINY).arms == ("whole pool", "random", "rap")

    def test_other_recipe_is_refused_where_runs_are(self, benchmark, tmp_path):
        """Seeds and further selections may come; steps, and what a selection does, may not change."""
        from bakeoff import check_same
        from bakeoff_recipe import recipe_of

        check_same(recipe_of(TINY), tmp_path)
        check_same(recipe_of({**TINY, "steps": 20}), tmp_path)  # nothing was made by the first
        (tmp_path / "start.json").write_text("{}")
        more = {**TINY, "steps": 20, "seeds": 9, "selections": {**TINY["selections"], "band": {"method": "difficulty"}}}
        check_same(recipe_of(more), tmp_path)
        with pytest.raises(
            SettingError, match=r"holds runs of another recipe \(steps\)\. Name another --work folder\.$"
        ):
            check_same(recipe_of({**more, "steps": 21}), tmp_path)
        other = {**more, "selections": {**more["selections"], "band": {"method": "any-right"}}}
        with pytest.raises(SettingError, match=r"another recipe \(selections\.band\)"):
            check_same(recipe_of(other), tmp_path)

    @pytest.mark.exhaustive
    def test_options_of_trl_are_checked(self, benchmark):
        """One that TRL does not have, and one that is set by the bake-off; those that come with it are all right."""
        pytest.importorskip("trl", reason="pip install hf-rap[train]")
        from bakeoff_recipe import read_recipe, recipe_of

        with pytest.raises(SettingError, match=r"^trl\.lerning_rate is no option of TRL's GRPOConfig\.$"):
            recipe_of({**TINY, "trl": {"lerning_rate": 1.0}})
        with pytest.raises(SettingError, match=r"^trl\.max_steps is set by the bake-off itself"):
            recipe_of({**TINY, "trl": {"max_steps": 3}})
        assert len(RECIPES) == 3
        assert [read_recipe(path).steps for path in RECIPES] == [200, 15, 40]


def results_of(**arms):
    """Made-up results: arm -> per seed the measured steps with a rate for each of four held-out rows, scoring, tokens per step."""
    runs = []
    for arm, (seeds, scoring, per_step) in arms.items():
        for seed, measured in enumerate(seeds):
            runs.append(
                {
                    "seed": seed,
                    "arm": arm.replace("_", " "),
                    "rows": 10,
                    "scoring_tokens": scoring,
                    "no_signal": 0.5,
                    "training": {"wall_seconds": 20.0, "cpu_seconds": 10.0},
                    "tokens_at": {step: per_step * int(step) for step in measured},
                    "measured": {
                        step: {"rates": rates, "tokens": 8, "wall_seconds": 1.0, "cpu_seconds": 1.0}
                        for step, rates in measured.items()
                    },
                }
            )
    chosen = {
        "scoring_tokens": {"rap": 100},
        "rollouts": {"wall_seconds": 8.0, "cpu_seconds": 4.0},
        "selecting": {"wall_seconds": 0.0, "cpu_seconds": 0.0},
        "device": "cpu",
    }
    return {
        "recipe": {
            "title": "made up",
            "model": "m",
            "pool": "p",
            "measured_attempts": 1,
            "steps": 10,
            "selections": {"rap": {}},
        },
        "kinds": ["a", "a", "b", "b"],
        "start": {"rates": [0, 0, 0, 0]},
        "chosen": {"0": chosen, "1": chosen},
        "runs": runs,
    }


RIGHT, HALF, NONE = [1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]
CLEAR = {  # rap: 100 tokens of scoring and 10 steps of 10; random: 20 steps of 10
    "random": ([{"10": NONE, "20": HALF}] * 2, 0, 10),
    "rap": ([{"10": RIGHT}] * 2, 100, 10),
}


class TestTheVerdict:
    def test_interval_of_seeds_that_disagree(self, benchmark):
        """Gaps of 0 and 1 in two seeds: a resample has the mean 0, 1/2 or 1, at a quarter, a half and a quarter."""
        from bakeoff_verdict import paired_difference

        gap = paired_difference(np.array([[1.0, 1.0], [1.0, 1.0]]), np.array([[1.0, 1.0], [0.0, 0.0]]))
        assert (gap.mean, gap.low, gap.high, gap.word) == (0.5, 0.0, 1.0, "not told apart")

    def test_interval_of_rows(self, benchmark):
        """One seed, rows of gaps 0, 0, 0 and 1: the mean of 4 drawn is a quarter of a binomial of 4 and 1/4, from 0 to 3/4."""
        from bakeoff_verdict import paired_difference

        gap = paired_difference(np.array([[0.0, 0.0, 0.0, 1.0]]), np.zeros((1, 4)))
        assert (gap.mean, gap.low, gap.high) == (0.25, 0.0, 0.75)

    def test_equal_gap_has_no_width_and_unknown_rows_are_left_out(self, benchmark):
        """A row that is unknown in one arm counts in none."""
        from bakeoff_verdict import paired_difference

        gap = paired_difference(np.array([[0.5, np.nan], [0.5, 0.0]]), np.array([[1.0, 1.0], [1.0, 1.0]]))
        assert (str(gap), gap.word) == ("-50.0 [-50.0, -50.0]", "worse")

    def test_paid_back_from_the_step_on_which_it_stays_ahead(self, benchmark):
        """At 200 tokens the other has 0.6, at 300 0.7; being ahead once and then behind is not enough."""
        from bakeoff_verdict import paid_back

        other = [(0, 0, 0.2), (10, 100, 0.5), (30, 300, 0.7)]
        assert paid_back([(0, 100, 0.2), (10, 200, 0.61), (20, 300, 0.8)], other) == 10
        assert paid_back([(0, 100, 0.2), (10, 200, 0.6), (20, 300, 0.8)], other) == 20
        assert paid_back([(0, 100, 0.2), (10, 200, 0.9), (20, 300, 0.7)], other) is None

    def test_tokens_that_the_other_needs(self, benchmark):
        """On a straight line between 0.5 at 100 and 0.7 at 300; above the highest nobody knows."""
        from bakeoff_verdict import compared, tokens_to_reach

        curve = [(0, 0, 0.2), (10, 100, 0.5), (30, 300, 0.7)]
        assert tokens_to_reach(0.6, curve) == pytest.approx(200)
        assert tokens_to_reach(0.8, curve) is None
        assert compared(60, 100) == "40% saved"
        assert compared(300, 100) == "3.0 times as many"

    def test_clear_winner_in_words(self, benchmark):
        """Rap: everything right behind 100 tokens of scoring and 100 of training; random: nothing, whatever it spends."""
        from bakeoff_verdict import Results, verdict

        arms = {"random": ([{"10": NONE, "20": NONE}] * 2, 0, 10), "rap": CLEAR["rap"]}
        assert verdict(Results(results_of(**arms))) == [
            (
                "**rap** against random: at equal steps better (+100.0 [+100.0, +100.0]); at equal total tokens better (+100.0 [+100.0, +100.0]). "
                "Its scoring is paid back: the mean is ahead from step 10 on. What it reaches (100.0%) random does not with as many tokens."
            ),
            "Best mean at equal total tokens: **rap** (100.0%); no other is level with it.",
        ]

    def test_seeds_that_disagree_leave_it_open(self, benchmark):
        """Ahead by 100 points in one seed of two: the mean is ahead, and the interval goes from 0 to 100."""
        from bakeoff_verdict import Results, verdict

        arms = {"random": ([{"10": NONE}] * 2, 0, 20), "rap": ([{"10": RIGHT}, {"10": NONE}], 100, 10)}
        against, best = verdict(Results(results_of(**arms)))
        assert (
            "at equal total tokens not told apart (+50.0 [+0.0, +100.0]). Whether its scoring is paid back is open"
            in against
        )
        assert (
            best
            == "Best mean at equal total tokens: **rap** (50.0%); not told apart from it: random (+50.0 [+0.0, +100.0])."
        )

    def test_loser_is_told_what_it_cost(self, benchmark):
        """Half right with 200 tokens; the whole pool had all right at 10 steps of 10, so half of it at 50."""
        from bakeoff_verdict import Results, verdict

        arms = {"whole_pool": ([{"10": RIGHT, "20": RIGHT}] * 2, 0, 10), "rap": ([{"10": HALF}] * 2, 100, 10)}
        (against, best) = verdict(Results(results_of(**arms)))
        assert (
            "What it reaches (50.0%) whole pool reaches with 50 tokens, it with 200: 4.0 times as many; in cpu seconds 2 and 14."
            in against
        )
        assert "the mean is not ahead at the end" in against
        assert best.startswith("Best mean at equal total tokens: **whole pool** (100.0%)")

    def test_ledger_counts_scoring_training_and_measuring(self, benchmark):
        """100 tokens and 4 of 4 CPU seconds of scoring for rap, none for random."""
        from bakeoff_report import ledger
        from bakeoff_verdict import Results

        assert ledger(Results(results_of(**CLEAR))).splitlines()[2:] == [
            "| random | 20 | 0 | 200 | 16 | 0 / 0 | 20 / 10 | 2 / 2 |",
            "| rap | 10 | 100 | 100 | 8 | 8 / 4 | 20 / 10 | 1 / 1 |",
        ]

    def test_rows_by_kind(self, benchmark):
        """3 of 4 and 1 of 2 rows of kind a: 62 %, the mean of the seeds."""
        from bakeoff_report import rows_table
        from bakeoff_verdict import Results

        results = results_of(rap=CLEAR["rap"])
        results["chosen"] = {"0": {"kinds": {"rap": {"a": 3, "b": 1}}}, "1": {"kinds": {"rap": {"a": 1, "b": 1}}}}
        assert rows_table(Results(results)).splitlines() == [
            "| rows of | a | b |",
            "|---|---:|---:|",
            "| rap | 62% | 38% |",
        ]

    def test_gains_by_kind(self, benchmark):
        """Random has the rows of kind a right, rap both kinds."""
        from bakeoff_report import kind_table
        from bakeoff_verdict import Results

        assert kind_table(Results(results_of(**CLEAR))).splitlines()[2:] == [
            "| not trained | 0.0 | 0.0 |",
            "| random | 100.0 | 0.0 |",
            "| rap | 100.0 (+0.0 [+0.0, +0.0]) | 100.0 (+100.0 [+100.0, +100.0]) |",
        ]


class TestAnArm:
    def test_steps_and_tokens_have_both_to_be_spent(self, benchmark, tmp_path):
        """10 tokens a step, 3 steps and 45 tokens: measured at 2, 3 and 4, and at 5, where it stops and keeps nothing."""
        from bakeoff_train import Arm

        arm = Arm(3, 45, 2, lambda model: {"rewards": [[1.0]], "tokens": 1}, tmp_path)
        saved, stopped = [], []
        for step in range(1, 6):
            arm.tokens += 10
            control = SimpleNamespace(should_save=False, should_training_stop=False)
            arm.on_step_end(None, SimpleNamespace(global_step=step), control)
            saved += [step] if control.should_save else []
            stopped += [step] if control.should_training_stop else []
        assert (list(arm.measured), saved, stopped) == (["2", "3", "4", "5"], [2, 3, 4], [5])

        again = Arm(3, 45, 2, None, tmp_path)
        again.go_on(3)  # the checkpoint of step 4 was not written any more
        assert (list(again.measured), again.tokens, list(again.tokens_at)) == (["2", "3"], 30, ["1", "2", "3"])


class TestKindsOfHeldOutRows:
    def test_rows_that_were_left_out_need_ids(self, benchmark):
        """By id where there is one, in the order of what was written; by place where all were; else it is refused."""
        from bakeoff_rows import _column
        from datasets import Dataset

        rows = Dataset.from_dict({"id": ["x", "y", "z"], "kind": ["a", "b", "c"]})
        assert _column(rows, "kind", ["z", "x"]) == ["c", "a"]
        assert _column(rows.remove_columns("id"), "kind", ["0", "1", "2"]) == ["a", "b", "c"]
        with pytest.raises(SettingError, match=r"^1 of 3 held-out rows cannot be asked, and no column `id` says which"):
            _column(rows.remove_columns("id"), "kind", ["0", "2"])


@pytest.mark.exhaustive
def test_killed_bake_off_goes_on_from_its_last_measurement(tmp_path):
    """Killed in the middle of an arm: runs that had ended are left as they are, the arm begins behind its checkpoint, and a page comes out."""
    pytest.importorskip("trl", reason="pip install hf-rap[train]")
    from hf_rap.demo import MODEL, make_planted

    make_planted(40, seed=3).to_parquet(tmp_path / "pool.parquet")
    recipe = {
        "model": str(MODEL),
        "pool": str(tmp_path / "pool.parquet"),
        "held_out": 8,
        "kind": "source",
        "attempts": 2,
        "max_new_tokens": 40,
        "selections": {"hard": {"method": "hardest", "budget": 8}},
        "seeds": 1,
        "steps": 30,
        "every": 3,
        "trl": {"num_generations": 2, "per_device_train_batch_size": 4},
    }
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    work = tmp_path / "work"
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "bakeoff.py"),
        str(tmp_path / "recipe.yaml"),
        "--work",
        str(work),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    arm = work / "training-0-random"
    patience = time.monotonic() + 300
    while not list(arm.glob("checkpoint-*/trainer_state.json")) and time.monotonic() < patience:
        assert started.poll() is None
        time.sleep(0.05)
    started.send_signal(signal.SIGKILL)
    started.wait()
    before = (work / "run-0-whole-pool.json").stat().st_mtime_ns
    step = max(int(path.parent.name.split("-")[1]) for path in arm.glob("checkpoint-*/trainer_state.json"))
    known = json.loads((arm / "progress.json").read_text())["measured"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (work / "run-0-whole-pool.json").stat().st_mtime_ns == before
    run = json.loads((work / "run-0-random.json").read_text())
    kept = [str(each) for each in range(3, step + 1, 3)]
    assert [run["measured"][each] for each in kept] == [known[each] for each in kept]
    assert {"30", *kept} <= set(run["measured"])
    assert len(run["reward"]) == max(map(int, run["measured"]))
    assert not arm.exists()
    assert "## Verdict" in (work / "verdict.md").read_text()
    assert (work / "bakeoff.png").read_bytes().startswith(b"\x89PNG")
