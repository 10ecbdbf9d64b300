"""`select_cognitive`: a rule by name, and its decision for every row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_rap.papers import PAPER
from hf_rap.stats.thresholds import AS_MANY, MIN_REPLACEMENT_CDE

from .base import AUTO, DROP, Selection, Settings, rows_to_select
from .methods import find_method

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .method import Method

if TYPE_CHECKING:
    from hf_rap.stats.thresholds import Quantile


def select_cognitive(
    ds: Any,
    *,
    min_cde: float | Quantile | str = PAPER.min_cde,
    max_ace: float | Quantile | str | None = AUTO,
    replace_easy: bool = True,
    budget: float | Mapping[str, int] | None = None,
    stratify_by: str | None = None,
    method: str | Method | Callable[[Any, Settings], Any] = "rap",
    seed: int = 0,
    min_replacement_cde: float | None = MIN_REPLACEMENT_CDE,
    replacements: float | str = AS_MANY,
    min_probability: float | None = None,
    probe_prior: bool = False,
    text_rows: str = DROP,
    overrides: Any = None,
) -> Selection:
    """The rows that make a model reason, and for every row why it is kept or not.

    1. A row without `rap_cde` is dropped, with the code of its `rap_error` as reason.
    2. A row stays when cde > min_cde: strictly, as in the paper.
    3. Where the column `rap_ace` exists, a row stays when ace <= max_ace. A row whose ace is null
       is dropped, since it has not passed; it counts as a step of its own.
    4. With replace_easy, rows that are always solved (difficulty 0) leave. As many come in, or as
       `replacements` says: the hardest with cde > min_replacement_cde and 1/M <= difficulty < 1 that
       pass step 3 and are not in yet, where M is the row's number of judged attempts. Ties: higher
       cde first, then a seeded order. Where fewer qualify, the selection gets smaller. For rewards of
       0 and 1 the lower bound says difficulty > 0, and that is what holds where `rap_image_rewards`
       is not there to count M. The paper has no floor on the cde of these rows: method "rap-paper".
    5. With a budget, exactly that many rows are kept: rows kept so far before others, both by
       higher cde, then higher difficulty, then the seeded order. So replacements are the first to
       go when there are too many, and when there are too few, rows that cde would not have kept
       fill up. Rows without a score, rows that fail step 3 and, with replace_easy, rows that are
       always solved never come in.

    The seeded order depends on seed and `rap_id` alone, so that the order of the rows does not
    matter; without `rap_id` it goes by position. Scores are compared as they stand, in double precision, as
    `ds.filter` does; a column of single precision, which earlier releases wrote, is read as the quotients that it
    stands for, and is written in double precision. NaN counts as null. `rap_keep` and `rap_reason` of an earlier selection
    are replaced. Images are neither decoded nor copied.

    Args:
        ds: a `Dataset` with `rap_cde`; also read, where there: `rap_error`, `rap_ace`,
            `rap_ace_settings`, `rap_difficulty`, `rap_image_rewards`, `rap_id`.
        min_cde: in [-1, 1], or a quantile of the known scores: `Quantile(0.9)` or "q0.9"; 0.5 is the
            paper's.
        max_ace: 0 or more, or a quantile; None skips step 3. "auto" goes by the form in
            `rap_ace_settings`: 0.1 for the literal form, as in the paper, and the quantile 0.9 for
            the windowed one, whose level differs from model to model.
        replace_easy: do step 4, which needs `rap_difficulty`.
        budget: a number of rows (int) or a share of all rows (float in (0, 1]); 1 is one row, 1.0
            all rows.
            Or rows for each value of stratify_by: {"geometry3k": 200, "chartqa": 100}; other values get none.
        stratify_by: a column, each value of which gets its part of the budget, in proportion to
            the rows with it that could come in (largest remainders): so each part can be met.
        method: "rap", the rule above; "rap-paper", that of arXiv 2506.04755 to the letter; "rap-released", what its authors' script does
            (`hf_rap.select.released`); "difficulty", the band of `select_difficulty`; "limr", the
            threshold of `select_limr`; "random", "hardest" or "longest", which need a budget; or another rule of
            docs/rules.md: "learnability", "pass-gap", "any-right", "hardest-tenth", "variance-promotion",
            "visual-dependence", "bis", "bis-posterior", of which those that rank need one. An
            option that a method does not know is refused. A `hf_rap.select.Method` of your own, or a
            function (ds, settings) -> kept rows as booleans (n_rows,), decides instead.
        seed: of the order among rows that are equal in everything else.
        min_replacement_cde: replacements have a cde above this; None sets no floor, as in the paper.
            The default is ours, by the tables of docs/measurements/floors.md. It does not hold for rows that
            fill the budget.
        replacements: at most how many rows come in at step 4: a number of rows (int), a share of those that
            leave (float in (0, 1]), or "as many". The paper's k is a parameter, too.
        min_probability: in (0, 1), such as 0.8. Then "cde above min_cde" of step 2 means: the true cde
            of the row is above min_cde with at least this probability, given its attempts and the prior
            that all rows of `ds` give (`hf_rap.fit_prior`); "above min_replacement_cde" likewise.
            Steps 3 and 4 go by the scores as before, so rows that come in as replacements are only
            as sure as their floor makes them. Needs both columns of rewards; takes no budget. With
            method "difficulty" the true pass rate is inside the band with this probability.
        probe_prior: with min_probability: probabilities start from what a probe foretells of each row
            (`rap_probe_image_rate`, `rap_probe_text_rate`: `hf_rap.fit_probe`), not from one prior for all rows.
        text_rows: rows without an image have no cde. "drop" drops them as such; "band" keeps those whose pass rate on
            their text is in the published band of arXiv 2505.13261, beside the others and without counting among them.
        overrides: marks of a person who has looked at rows: "keep", "drop" or "wrong_gold" by `rap_id`, as a file (.csv, .tsv,
            .json, .jsonl, .parquet) or a `Dataset` with the columns `rap_id` and `mark`, a list of dictionaries, a mapping
            {rap_id: mark}, or an earlier `Selection`, whose marks are taken. The rule decides on all rows first; then each
            mark decides about its own row and no other, with the reason `by_hand` or `wrong_gold`. So a budget is the rule's,
            and the marks come on top. Marks of rows that are not there change nothing and are remarked upon.

    Raises:
        MissingColumnError: `rap_cde` is absent, or a column that an option needs.
        SettingError: an option is out of its range, the dataset has no rows, or fewer rows could
            come in than the budget asks for; or a mark is none, a row has two, or none is about a row of `ds`.
        SourceError: the file of the marks cannot be read.

    Examples:
        >>> from datasets import Dataset
        >>> scores = {"rap_cde": [0.8, 0.4, None, 0.6], "rap_difficulty": [0.2, 0.6, None, 0.0]}
        >>> selection = select_cognitive(Dataset.from_dict(scores))
        >>> selection
        Selection: 2 of 4 rows
          step     rows                4  in all
          step     scored              3  have a score: rap_cde
          step     image_needed        2  need the image: rap_cde > 0.5
          step     not_always_solved   1  are not always solved
          came in  replaced           +1  hard rows in place of the always solved: rap_cde > 0.2
          step     selected            2  are selected
          kept     hard_replacement    1  hard: in the place of a row that is always solved
          kept     image_needed        1  solved more often with the image, by more than min_cde
          dropped  always_solved       1  needs the image, but every attempt with it is right
          dropped  not_scored          1  cde is null and rap_error does not say why
        >>> selection.selected["rap_reason"][:]
        ['image_needed', 'hard_replacement']

    """
    rule = find_method(method)
    ds = rows_to_select("select_cognitive", ds)
    settings = Settings(
        min_cde=min_cde,
        max_ace=max_ace,
        replace_easy=replace_easy,
        min_replacement_cde=min_replacement_cde,
        replacements=replacements,
        min_probability=min_probability,
        probe_prior=probe_prior,
        text_rows=text_rows,
        budget=budget,
        stratify_by=stratify_by,
        seed=seed,
    )
    return rule.select(ds, settings, overrides)
