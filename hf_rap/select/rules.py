"""Every rule as data: where it comes from, what it computes, what it reads and costs, and what its source leaves open.

docs/rules.md and its reference are written from here (scripts/render_rules.py), and `hf-rap compare` counts tokens by it. A new method joins
with one entry.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hf_rap.columns import (
    ARM_COLUMNS,
    BIS,
    CDE,
    DIFFICULTY,
    IMAGE_RESPONSES,
    IMAGE_REWARDS,
    IMAGE_TOKENS,
    LIMR,
    STEPS,
    TEXT_REWARDS,
    VISUAL_DEPENDENCE,
)
from hf_rap.papers import (
    ANY_RIGHT,
    BALANCED,
    DIFFICULTY_PRIOR,
    HARDEST,
    PAPER,
    RELEASED,
    VARIANCE_PROMOTION,
)
from hf_rap.papers import LIMR as LIMR_PUBLISHED
from hf_rap.stats.arrays import arrow_columns
from hf_rap.stats.lists import number_lists
from hf_rap.stats.thresholds import MIN_REPLACEMENT_CDE


class Rule(NamedTuple):
    """What is known of one rule.

    Attributes:
        name: of the method, as `select_cognitive(method=...)` and `hf-rap compare --methods` have it.
        source: arXiv numbers, the one that gave the rule first; none is a baseline of ours.
        formula: which rows are kept. p is the pass rate with the image, n the attempts behind it.
        defaults: the numbers that stand where nothing else is asked for.
        needs: columns that have to be there.
        arms: whose replies these columns come from: their tokens are what the rule costs.
        cost: how that comes about, in words.
        left_open: what the source does not say, or we could not read in it.
        against: what other sources say against it.
        first_alone: only the first reply of each row is read.
        counted: its tokens can be counted in the evidence; else they were spent elsewhere.

    """

    name: str
    source: tuple[str, ...]
    formula: str
    defaults: str
    needs: tuple[str, ...]
    arms: tuple[str, ...]
    cost: str
    left_open: str
    against: str = ""
    first_alone: bool = False
    counted: bool = True


_IMAGE = "n replies with the image"
_BOTH = f"{_IMAGE} and n on the question alone"
_READS_NO_PICTURE = "a row that text alone solves half of the time looks like a good one (2506.04755)"
_RAP = (
    "cde > min_cde, where cde = p - pass rate without the image; ace <= max_ace where attention was measured; rows with p = 1 leave "
    "for the hardest with 0 < p < 1"
)
_RAP_OPEN = "how many rows come in (k is a parameter), which rows tie; the released script is another rule"
_RAP_AGAINST = "on planted rows a band of pass rates keeps nearly the same for half of the replies (docs/evidence.md)"
_AGAINST_HARD = "2504.03380 and 2505.13261: rows that are nearly never solved give no gradient"
_AGAINST_MIDDLE = "2508.14094: the hardest tenth teaches most, since easy rows are soon always solved"
RULES = {
    rule.name: rule
    for rule in (
        Rule(
            "rap",
            ("2506.04755",),
            f"{_RAP} and cde > min_replacement_cde",
            f"n = {PAPER.attempts}, min_cde = {PAPER.min_cde}, min_replacement_cde = {MIN_REPLACEMENT_CDE} (ours)",
            (CDE.name, DIFFICULTY.name),
            ("image", "text"),
            f"{_BOTH}; with attention one more reading of every reply",
            _RAP_OPEN,
            _RAP_AGAINST,
        ),
        Rule(
            "rap-paper",
            ("2506.04755",),
            _RAP,
            f"n = {PAPER.attempts}, min_cde = {PAPER.min_cde}, max_ace = {PAPER.max_ace}",
            (CDE.name, DIFFICULTY.name),
            ("image", "text"),
            f"{_BOTH}; with attention one more reading of every reply",
            _RAP_OPEN,
            _RAP_AGAINST,
        ),
        *(
            Rule(
                f"rap:{control}",
                ("2506.04755",),
                f"as rap, with {shows} in the place of no picture",
                f"as rap; the control is ours, as is measured in docs/controls.md; `hf-rap score --control {control}`, then rap",
                (IMAGE_REWARDS.name, ARM_COLUMNS[control].rewards.name),
                ("image", control),
                f"{_IMAGE} and n with {shows}",
                "the paper removes the picture from the prompt, and compares with nothing else",
                "2510.09285 and 2602.17186 compare with a masked or missing picture, and read tokens instead of answers",
            )
            for control, shows in (("blank", "a grey picture"), ("shuffled", "the picture of another row"))
        ),
        Rule(
            "rap-released",
            ("2506.04755",),
            "released script: similar enough, helped by the image and not easy, and a tenth of the rows with one right attempt",
            f"n = {RELEASED.attempts}, gain above {RELEASED.core_gain}, seed {RELEASED.seed}",
            (IMAGE_REWARDS.name, TEXT_REWARDS.name),
            ("image", "text"),
            _BOTH,
            "the script is not described in the paper, and its thresholds are other ones",
            "the paper itself: min_cde is 0.5 there and 0.2 in the script",
        ),
        Rule(
            "difficulty",
            ("2505.13261",),
            "low <= p <= high",
            f"low = {DIFFICULTY_PRIOR.low}, high = {DIFFICULTY_PRIOR.high}; many attempts in the paper, five cannot tell 0.084 from 0",
            (DIFFICULTY.name,),
            ("image",),
            _IMAGE,
            "n, and whether a row at a bound is in",
            f"{_READS_NO_PICTURE}; {_AGAINST_MIDDLE}",
        ),
        Rule(
            "learnability",
            ("2504.03380", "2509.21268"),
            "the budget rows of highest p (1 - p)",
            "the budget is asked for; ties by a seeded order",
            (DIFFICULTY.name,),
            ("image",),
            _IMAGE,
            "both filter while they train, by the model of that step; here once, by the model before training",
            f"{_READS_NO_PICTURE}; {_AGAINST_MIDDLE}",
        ),
        Rule(
            "pass-gap",
            ("2601.19325",),
            "the budget rows of highest pass@N - pass@1; of n attempts c right: pass@N = 1 - C(n - c, N) / C(n, N), pass@1 = c / n",
            "N is the number of judged attempts that most rows have; the budget is asked for",
            (IMAGE_REWARDS.name,),
            ("image",),
            _IMAGE,
            "N, the sampling, and the share that is kept could not be read in it; the unbiased estimator is that of 2107.03374",
            "rows that are solved once in n rank highest, by luck as often as not: n decides; 2505.13261 leaves them out",
        ),
        Rule(
            "any-right",
            ("2504.08837",),
            "c >= 1: at least one of n attempts is right",
            f"n = {ANY_RIGHT.attempts} in the paper, here as many as the rows have, with a remark where that is another number",
            (DIFFICULTY.name,),
            ("image",),
            _IMAGE,
            "model and sampling, and whether rows that are always solved stay; its data (ViRL39K) has a pass rate for each row",
            "2504.03380 and 2505.13261: rows that are always solved teach as little as those that never are",
        ),
        Rule(
            "hardest-tenth",
            ("2508.14094",),
            "the tenth of the rows with the lowest p, those with p = 0 included",
            f"share = {HARDEST.share}; ties by a seeded order",
            (DIFFICULTY.name,),
            ("image",),
            _IMAGE,
            "text questions alone; which rows of p = 0 come first, where they are more than a tenth",
            _AGAINST_HARD,
        ),
        Rule(
            "hardest",
            (),
            "the budget rows with the lowest p, those with p = 0 included",
            "the budget is asked for; ties by a seeded order",
            (DIFFICULTY.name,),
            ("image",),
            _IMAGE,
            "",
            _AGAINST_HARD,
        ),
        Rule(
            "variance-promotion",
            ("2509.21268",),
            f"the budget rows of highest {VARIANCE_PROMOTION.outcome} p (1 - p) + {VARIANCE_PROMOTION.diversity} d; d: different runs of three "
            "words by all such runs in the replies of the row",
            "the budget is asked for; ties by a seeded order",
            (DIFFICULTY.name, IMAGE_RESPONSES.name),
            ("image",),
            _IMAGE,
            "d: inverse self-BLEU is an example there; the release has runs of three tokens, self-BLEU and edit distance to choose from, and "
            "both of its configs weigh p (1 - p) alone. Rows are drawn in proportion while training there; here once, the highest",
            "its own configs: without d it is learnability",
        ),
        Rule(
            "visual-dependence",
            ("2602.17186", "2510.09285"),
            f"the budget rows of highest `{VISUAL_DEPENDENCE.name}`",
            "the budget is asked for; ties by a seeded order",
            (VISUAL_DEPENDENCE.name,),
            ("image",),
            f"{_IMAGE}, and two readings of each reply, with the picture and without; readings generate nothing",
            "2602.17186 reads given answers, not replies, and chooses tokens too; 2510.09285 weighs tokens while it trains and selects no rows",
            "2506.04755: whether answers come out right without the picture counts, not how likely words are",
        ),
        Rule(
            "limr",
            ("2502.11886",),
            "learning impact >= min_limr: rewards of the row follow the mean curve of a training run",
            f"min_limr = {LIMR_PUBLISHED.min_limr}",
            (LIMR.name,),
            (),
            "a training run over all rows, which is not counted here",
            "how the curve of a row that was not seen in an epoch is read",
            "all others here: a run over all rows costs what a selection is to save",
            counted=False,
        ),
        Rule(
            "s1",
            ("2501.19393",),
            "rows that the first attempt does not solve, a domain after the other, of each the longer replies with higher probability",
            "the budget is asked for (1,000 in the paper)",
            (IMAGE_REWARDS.name, IMAGE_TOKENS.name),
            ("image",),
            "one reply with the image",
            "of two models one attempt each there, and a part is taken by hand",
            "2505.13261: never solved rows are kept here, and left out there",
            first_alone=True,
        ),
        Rule(
            "longest",
            (),
            "the budget rows with the longest replies, mean over n",
            "the budget is asked for; ties by a seeded order",
            (IMAGE_TOKENS.name,),
            ("image",),
            _IMAGE,
            "",
        ),
        Rule(
            "random",
            (),
            "the budget rows, drawn by seed and id",
            "the budget is asked for",
            (),
            (),
            "nothing",
            "",
            "what every other rule has to beat at equal tokens, its own scoring counted",
        ),
        Rule(
            "bis",
            ("2602.04145",),
            "the budget rollouts of highest (q (1 - q) + alpha) R; q: share of positive steps, R: their mean score",
            f"alpha = {BALANCED.alpha}; a step is positive when one continuation is right; `select_top` has the quotas per source of the paper",
            (BIS.name,),
            (),
            "N continuations from the end of every step, which are not counted here",
            "the README of its release has another alpha (0.2)",
            counted=False,
        ),
        Rule(
            "bis-posterior",
            ("2602.04145",),
            "as bis, with the mean of P(s > tau | k of N) over positive steps for R; s even on [0, 1] before",
            f"alpha = {BALANCED.alpha}, tau = {BALANCED.trusted_above} (ours)",
            (STEPS.name,),
            (),
            "N continuations from the end of every step, which are not counted here",
            "no posterior there: R is a mean, so one right of two counts as eight of sixteen",
            counted=False,
        ),
        Rule(
            "top",
            (),
            "the highest of any score, a share or number per source: `select_top`, `hf-rap select --top`",
            "by rap_bis, per source",
            (BIS.name,),
            (),
            "that of the score",
            "",
            counted=False,
        ),
    )
}


def tokens_of(ds: Any, rule: Rule) -> int | None:
    """Tokens that were generated for what a rule reads in these rows; None where that is not known.

    Tokens of prompts and of readings are not counted: with several attempts at once a prompt is read once.
    """
    if not rule.counted:
        return None
    sums = [tokens_in(ds, ARM_COLUMNS[arm].tokens.name, first_alone=rule.first_alone) for arm in rule.arms]
    return None if None in sums else sum(tokens for tokens in sums if tokens is not None)


def tokens_in(ds: Any, name: str, *, first_alone: bool = False) -> int | None:
    """The sum of a column of tokens per attempt; None where it is not there."""
    import pyarrow.compute as pc

    if name not in ds.column_names:
        return None
    lists = number_lists("tokens_of", name, arrow_columns(ds, [name])[name])
    if first_alone:
        lists = pc.list_slice(lists, 0, 1)
    return int(pc.sum(pc.list_flatten(lists)).as_py() or 0)
