"""Applying scorers to datasets."""

import pytest
from datasets import Dataset, Features, Image, IterableDataset, List, Value

from hf_rap.columns import ACE, CDE, Column, features_of
from hf_rap.errors import ColumnExistsError, MissingColumnError
from hf_rap.scorers import SCORERS, add_scores, cde_score, difficulty_score, usual_scores
from hf_rap.select import select_cognitive

REWARDS = Features({name: List(Value("float64")) for name in ("rap_image_rewards", "rap_text_rewards")})
ROWS = {"rap_image_rewards": [None, [1.0, 1.0], [1.0, 0.0]], "rap_text_rewards": [[1.0], [0.0, 1.0], [0.0]]}
SCORED = {**ROWS, "rap_cde": [None, 0.5, 0.5], "rap_difficulty": [None, 0.0, 0.5]}


def evidence():
    return Dataset.from_dict(ROWS, features=REWARDS, split="train")


def test_scores_are_added_with_their_types():
    """The columns that were there stay as they are, and so does the split."""
    scored = add_scores(evidence(), cde_score, difficulty_score)
    assert scored[:] == SCORED
    assert scored.features == Features({**REWARDS, "rap_cde": Value("float64"), "rap_difficulty": Value("float64")})
    assert scored.split == "train"


def test_every_scorer_is_listed_by_what_it_writes():
    """The name on the command line is the column without its prefix."""
    assert {name: scorer.writes[-1].name for name, scorer in SCORERS.items()} == {
        name: f"rap_{name}" for name in SCORERS
    }


@pytest.mark.parametrize(
    ("image", "text", "error", "names"),
    [
        ([[1.0], None], [None, None], [None, "gold_unreadable: x"], ("difficulty",)),  # asked with the image alone
        ([[1.0], None], [None, [0.0]], [None, None], ("cde", "difficulty")),
        ([[1.0], [0.0]], [None, None], ["engine: x", "engine: x"], ("cde", "difficulty")),  # asked in vain
        ([None, None], [None, None], ["no_image: x", "no_image: x"], ("cde", "difficulty")),
        ([[1.0], [0.0]], [None, [None]], [None, None], ("cde", "difficulty")),  # no grade, but asked
        ([], [], [], ("cde", "difficulty")),
    ],
)
def test_there_is_no_cde_of_what_was_never_asked(image, text, error, names):
    """Null in every row, it would be a column that says nothing; an error is another thing, and keeps it."""
    columns = {"rap_image_rewards": image, "rap_text_rewards": text, "rap_error": error}
    rows = Dataset.from_dict(columns, Features({**REWARDS, "rap_error": Value("string")}))
    assert usual_scores(rows) == names


def test_a_dataset_without_rows_gets_the_columns():
    """Which a plain map does not do."""
    empty = Dataset.from_dict({name: [] for name in ROWS}, features=REWARDS)
    assert add_scores(empty, cde_score).features == Features({**REWARDS, "rap_cde": Value("float64")})


def test_the_format_of_the_dataset_stays():
    """And does not reach the scorer, to which numpy would hand NaN for null."""
    scored = add_scores(evidence().with_format("numpy"), cde_score)
    assert scored.format["type"] == "numpy"
    assert scored.with_format(None)["rap_cde"][:] == SCORED["rap_cde"]


def test_rows_follow_an_indices_mapping():
    """A reordered dataset gets the scores of its rows."""
    assert add_scores(evidence().select([2, 0]), cde_score)["rap_cde"][:] == [0.5, None]


def test_images_are_not_decoded():
    """Bytes that are no image go through."""
    image = {"bytes": b"not an image", "path": None}
    ds = evidence().add_column("image", [image] * 3, feature=Image())
    scored = add_scores(ds, cde_score)
    assert scored.cast_column("image", Image(decode=False))["image"][:] == [image] * 3
    with pytest.raises(OSError, match="cannot identify image file"):
        scored[0]


def test_images_are_neither_read_nor_written_again():
    """After `filter`, `shuffle` and `select` too: the same memory holds them."""
    files = [b"1" * 100, b"2" * 100, b"3" * 100]
    ds = evidence().add_column("image", [{"bytes": file, "path": None} for file in files], feature=Image())

    def place(ds):
        return ds.data.column("image").chunk(0).field("bytes").buffers()[2].address

    for some in (ds, ds.select([2, 0]), ds.filter(lambda rewards: rewards != [0.0], input_columns="rap_text_rewards")):
        scored = add_scores(some, cde_score, difficulty_score)
        selected = select_cognitive(scored, min_cde=0.2)
        assert place(scored) == place(selected.scored) == place(selected.selected) == place(ds)
        assert scored["rap_cde"][:] == some.map(cde_score, batched=True)["rap_cde"][:]

    class Looking(Doubled):
        """Names the image, so it gets it."""

        reads = (CDE, Column("image", "", ""))

        def __call__(self, batch):
            return {ACE.name: [float(len(image["bytes"])) for image in batch["image"]]}

    plain = ds.cast_column("image", Image(decode=False))
    assert add_scores(plain, cde_score, Looking())["rap_ace"][:] == [100.0] * 3


def test_a_stream_is_scored_whether_its_columns_are_known_or_not():
    """The same numbers; the types too where the stream knows its own."""
    known = add_scores(evidence().to_iterable_dataset(), cde_score, difficulty_score)
    assert known.features == Features({**REWARDS, "rap_cde": Value("float64"), "rap_difficulty": Value("float64")})
    assert list(known) == Dataset.from_dict(SCORED).to_list()

    unknown = IterableDataset.from_generator(lambda: iter(Dataset.from_dict(ROWS, features=REWARDS).to_list()))
    assert unknown.column_names is None
    assert list(add_scores(unknown, cde_score, difficulty_score)) == Dataset.from_dict(SCORED).to_list()


def test_nothing_is_overwritten():
    """Neither a column that was there nor one of an earlier scorer."""
    scored = add_scores(evidence(), cde_score)
    with pytest.raises(ColumnExistsError, match="CDEScore would overwrite 'rap_cde'"):
        add_scores(scored, difficulty_score, cde_score)
    with pytest.raises(ColumnExistsError, match="CDEScore would overwrite 'rap_cde'"):
        add_scores(evidence(), cde_score, cde_score)


def test_a_missing_column_is_told_before_any_work():
    """With the hint how to get it; also for a stream that knows its columns."""
    ds = evidence().remove_columns("rap_text_rewards")
    for some in (ds, ds.to_iterable_dataset()):
        with pytest.raises(MissingColumnError, match=r"CDEScore reads column 'rap_text_rewards'.*hf-rap rollouts"):
            add_scores(some, difficulty_score, cde_score)


class Doubled:
    """A scorer of a user, without base class: twice the cde."""

    reads: tuple[Column, ...] = (CDE,)
    writes: tuple[Column, ...] = (ACE,)
    features = property(lambda self: features_of(self.writes))

    def __call__(self, batch):
        return {ACE.name: [None if cde is None else 2 * cde for cde in batch[CDE.name]]}


def test_a_scorer_may_read_what_an_earlier_one_writes():
    """Checks follow the order of the scorers."""
    assert add_scores(evidence(), cde_score, Doubled())["rap_ace"][:] == [None, 1.0, 1.0]
    with pytest.raises(MissingColumnError, match="Doubled reads column 'rap_cde'"):
        add_scores(evidence(), Doubled(), cde_score)
