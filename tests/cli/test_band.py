"""`hf-rap select --method difficulty` with its own options, and rollouts of the image arm alone."""

import click
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from datasets import Dataset

from hf_rap.cli import cli
from hf_rap.demo import make_planted

# Pass rates 1, 0.9, 0.8, 0.6, 0.5, 0.3, 0.1, 0 and one that is unknown.
DIFFICULTY = [0.0, 0.1, 0.2, 0.4, 0.5, 0.7, 0.9, 1.0, None]


@pytest.fixture
def scored(tmp_path):
    """A file of scores."""
    path = tmp_path / "scored.parquet"
    ids = [f"{number:032x}" for number in range(len(DIFFICULTY))]
    Dataset.from_dict({"rap_id": ids, "rap_difficulty": DIFFICULTY}).to_parquet(path)
    return path


def select(scored, *words):
    """The exit code, the pass rates that were kept, and what was said."""
    out = scored.with_name("selection.parquet")
    words = ["select", str(scored), "--method", "difficulty", *words, "--out", str(out), "--overwrite"]
    done = CliRunner().invoke(cli, words)
    if done.exit_code or done.exception:
        return done.exit_code, None, click.unstyle(done.output) + str(done.exception)
    rows = pq.read_table(out, columns=["rap_keep", "rap_difficulty"]).to_pylist()
    return 0, [round(1 - row["rap_difficulty"], 1) for row in rows if row["rap_keep"]], done.output


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ([], [0.8, 0.6, 0.5, 0.3, 0.1]),
        (["--low", "0.3"], [0.8, 0.6, 0.5, 0.3]),
        (["--low", "0.5", "--high", "1"], [1.0, 0.9, 0.8, 0.6, 0.5]),
        (["--stage", "one"], [0.8, 0.6, 0.5]),
        (["--stage", "two"], [0.3, 0.1]),
        (["--stage", "two", "--middle", "0.6"], [0.5, 0.3, 0.1]),
        (["--stage", "two", "--low", "0.2", "--sizes", "2,1"], [0.3]),
    ],
)
def test_band_and_stages(scored, words, kept):
    """The published band is 0.084 to 0.87; its bounds are in; stage two of given size are the hardest of the band."""
    assert select(scored, *words)[:2] == (0, kept)


def test_stage_one_of_a_size_is_drawn_from_the_rest_of_the_band(scored):
    """Two of the four rows that are not stage two, the same for the same seed."""
    rest = {0.8, 0.6, 0.5, 0.3}
    drawn = select(scored, "--stage", "one", "--sizes", "2,1")[1]
    assert len(drawn) == 2
    assert set(drawn) <= rest
    assert select(scored, "--stage", "one", "--sizes", "2,1")[1] == drawn


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--method", "rap", "--low", "0.1"], "--low means nothing to method 'rap': add --method difficulty"),
        (["--middle", "0.5"], "--middle divides the band into two stages: add --stage one, or two"),
        (["--stage", "one", "--sizes", "4"], "--sizes takes two numbers of rows, such as 2000,600, got '4'"),
        (["--stage", "one", "--sizes", "9,9"], "sizes asks for 9 and 9 rows, but only 5 of 9 are inside the band"),
        (["--stage", "one", "--min-probability", "0.5"], "--min-probability does not go with --stage"),
        (["--low", "0.1", "--budget", "5"], "budget=5 means nothing to method 'difficulty'"),
        (["--low", "87"], "low is 87.0"),
    ],
)
def test_what_does_not_fit_is_said(scored, words, sentence):
    """In words of the option that was given."""
    code, _, said = select(scored, *words)
    assert code != 0
    assert sentence in " ".join(said.split())


@pytest.mark.slow
def test_the_image_arm_alone_is_enough(tmp_path):
    """Half of the replies, and the selection of the whole evidence."""
    make_planted(12).to_parquet(tmp_path / "rows.parquet")
    kept = []
    for arms in ("image", "both"):
        evidence, scored = tmp_path / f"{arms}.parquet", tmp_path / f"{arms}-scored.parquet"
        words = ["rollouts", str(tmp_path / "rows.parquet"), "--model", "demo", "--max-new-tokens", "48"]
        for command in (
            [*words, "--attempts", "2", "--arms", arms, "--out", str(evidence)],
            ["score", str(evidence), "--out", str(scored)],
        ):
            done = CliRunner().invoke(cli, command)
            assert done.exit_code == 0, done.output
        replies = pq.read_table(evidence, columns=["rap_text_responses"])["rap_text_responses"]
        assert (replies.null_count == 12) == (arms == "image")
        assert ("rap_cde" in pq.read_schema(scored).names) == (arms == "both")
        assert ("next: hf-rap select" in done.output and "--method difficulty" in done.output) == (arms == "image")
        kept.append(select(scored)[1])
    assert kept[0] == kept[1]
