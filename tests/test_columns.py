"""Every column says what makes it, and what it names exists and does make it."""

import importlib
import re
from dataclasses import dataclass

import click
import pytest
from click.testing import CliRunner
from datasets import Dataset, Features, List, Value

import hf_rap
from hf_rap import columns
from hf_rap.cli import cli

ALL = {
    column.name
    for value in vars(columns).values()
    for column in (value if isinstance(value, tuple) else (value,))
    if isinstance(column, columns.Column)
}
SCORED = Features(
    {
        "rap_image_rewards": List(Value("float64")),
        "rap_text_rewards": List(Value("float64")),
        "rap_cde": Value("float32"),
        "rap_cde_control": Value("string"),
    }
)


def rows(*names):
    """Two rows with these columns of evidence and scores."""
    values = {
        "rap_image_rewards": [[1.0], [1.0]],
        "rap_text_rewards": [[0.0], [1.0]],
        "rap_cde": [1.0, 0.0],
        "rap_cde_control": ["blank", "blank"],
    }
    return Dataset.from_dict({name: values[name] for name in names}, Features({name: SCORED[name] for name in names}))


@dataclass(frozen=True)
class CanAll:
    """An engine that is never asked."""

    continues = True

    def complete(self, requests, sampling):
        raise AssertionError

    attend = log_likelihoods = prompt_states = complete


def public_name(name):
    """Of the package, or of the room that it has moved to."""
    home = hf_rap._MOVED_TO.get(name)
    return getattr(importlib.import_module(f"hf_rap.{home}") if home else hf_rap, name)


def test_every_column_says_what_makes_it():
    """Also those that are not shown anywhere, and no others."""
    assert set(columns.MAKERS) == ALL


FROM_PYTHON = (columns.PROBED, columns.VISUAL_DEPENDENCE_ARM, *columns.STATES_EVIDENCE, *columns.PROBE_SCORES)


@pytest.mark.parametrize("name", sorted(ALL))
def test_what_it_names_makes_the_column(name):
    """The callable inside `ds.map` writes it; other functions and the commands with their options exist."""
    maker = columns.MAKERS[name]
    public = {each: public_name(each) for each in (*hf_rap.__all__, *hf_rap._MOVED_TO)}
    here = {**public, "engine": CanAll(), "ds": rows("rap_image_rewards", "rap_text_rewards")}
    for mapped in re.findall(r"ds\.map\((.+?), batched=True\)", maker):
        written = eval(mapped, here).writes
        assert name in {column.name for column in written}
    for called in set(re.findall(r"(?<!\.)\b(\w+)\(", maker)):
        assert callable(here[called])
    commands = re.findall(r"`hf-rap ([\w-]+)(?: (--[\w-]+))?(?: \w+)?`", maker)
    for command, option in commands:
        loaded = cli.get_command(click.Context(cli), command)
        known = {one for parameter in loaded.params for one in parameter.opts}
        assert not option or option in known
    from_python = {"rap_epoch_rewards", "rap_limr", *(column.name for column in FROM_PYTHON)}
    assert commands or name in from_python  # from files of a trainer, or a first look: there is no command


def hint_of(call):
    with pytest.raises(hf_rap.errors.MissingColumnError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize(
    ("call", "makers"),
    [
        (
            lambda: hf_rap.add_scores(rows("rap_cde"), hf_rap.bis_score),
            ["load_process_rewards(", "`hf-rap annotate-steps`"],
        ),
        (lambda: hf_rap.add_scores(rows("rap_cde"), hf_rap.scorers.LIMRScore((0.5,))), ["add_epoch_rewards("]),
        (lambda: hf_rap.add_scores(rows("rap_cde"), hf_rap.ace_score), ["attention=True", "`hf-rap attention`"]),
        (lambda: hf_rap.CDEScore(control="blank")(rows("rap_image_rewards")[:]), ["Controls(", "`hf-rap controls`"]),
        (lambda: hf_rap.training.order_curriculum(rows("rap_cde"), "rap_limr"), ["add_limr_score("]),
        (
            lambda: hf_rap.select_top(rows("rap_cde"), by="rap_cde_mean", ratio=1.0, per=None),
            ["`hf-rap score --intervals`"],
        ),
        (
            lambda: hf_rap.select_cognitive(
                rows("rap_image_rewards", "rap_cde", "rap_cde_control"), replace_easy=False, min_probability=0.8
            ),
            ["Controls(", "`hf-rap controls`", "min_probability reads the attempts"],
        ),
        (
            lambda: hf_rap.select_cognitive(rows("rap_cde"), method="visual-dependence", budget=1),
            ["visual_dependence_score", "`hf-rap score --score visual_dependence`"],
        ),
        (lambda: hf_rap.process.one_row_per_response(rows("rap_cde")), ["Rollouts(", "`hf-rap rollouts`"]),
    ],
)
def test_errors_say_what_makes_the_column_that_is_missing(call, makers):
    """That one, whoever reads it: not always rollouts."""
    hint = hint_of(call)
    assert [maker for maker in makers if maker not in hint] == []


def test_drawing_a_reply_asks_for_attention(tmp_path):
    """Replies alone have none, so `hf-rap rollouts` alone would not help."""
    Dataset.from_dict({"rap_id": ["a"]}).to_parquet(tmp_path / "evidence.parquet")
    done = CliRunner().invoke(cli, ["inspect", str(tmp_path / "evidence.parquet"), "--row", "a", "--attention"])
    assert "Make it first: ds.map(Rollouts(engine, attention=True), batched=True)" in str(done.exception)


def test_a_column_of_the_user_has_no_maker():
    """The error names what is there, and promises nothing."""
    assert hint_of(lambda: hf_rap.select.select_random(rows("rap_cde"), budget=1, stratify_by="source")).endswith(
        "(it has: rap_cde)."
    )
