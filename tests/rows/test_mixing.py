"""Several datasets as one, and rows that stand in a test set."""

import io

import pytest
from datasets import Dataset, Features, Image, List, Value
from PIL import Image as PILImage

from hf_rap import Completion, Layout, Rollouts, collect_in_run, columns
from hf_rap.errors import LayoutError, SettingError, SourceError
from hf_rap.evidence.collector import collect_evidence
from hf_rap.rows.layouts import UNASKED
from hf_rap.rows.mixing import mark_test_rows, mix_datasets
from hf_rap.rows.provenance import SourceInfo, describe_mixture

S, STATES = Value("string"), ["Nevada", "Maine"]


def picture(colour="red", kind="PNG"):
    """A picture of one colour, in any format that keeps it."""
    file = io.BytesIO()
    PILImage.new("RGB", (8, 8), colour).save(file, kind)
    return {"bytes": file.getvalue(), "path": None}


def geo(*rows):
    """(question, colour, answer) in the layout of geometry3k."""
    features = Features({"images": List(Image()), "problem": S, "answer": S})
    made = [{"images": [picture(c)], "problem": p, "answer": a} for p, c, a in rows]
    return Dataset.from_list(made, features=features)


def science(*answers):
    """Multiple choices whose golds are numbers."""
    features = Features({"id": S, "question": S, "image": Image(), "choices": List(S), "answer": Value("int64")})
    made = [
        {"id": str(n), "question": "Which is north?", "image": picture("blue"), "choices": STATES, "answer": a}
        for n, a in enumerate(answers)
    ]
    return Dataset.from_list(made, features=features)


class Says:
    """Says the same to everything, and keeps what it was asked."""

    def __init__(self, reply):
        self.reply, self.seen = reply, []

    def describe(self):
        return {"model": "says"}

    def complete(self, requests, sampling):
        self.seen += requests
        return [[Completion(self.reply, 3, False)] * request.attempts for request in requests]


def test_each_source_is_read_with_its_own_layout():
    """Options, golds by number and a picture each; the column `source` has their names."""
    mixture = mix_datasets({"geo": geo(("<image>Find x.", "red", "3")), "science": science(1, 0)})

    assert mixture.rows == {"geo": 1, "science": 2}
    assert mixture.ds["source"][:] == ["geo", "science", "science"]
    assert mixture.ds["problem"][:] == ["<image>Find x.", "<image>Which is north?", "<image>Which is north?"]
    assert mixture.ds["options"][:] == [[], STATES, STATES]
    assert mixture.ds["answer"][:] == [["3"], ["B"], ["A"]]
    assert mixture.ds["source_id"][:] == [None, "0", "1"]

    engine = Says(r"\boxed{B}")
    evidence = collect_evidence(mixture.ds, Rollouts(engine, attempts=1, layout=mixture.layout, prompt="bare"))

    assert evidence["rap_image_rewards"][:] == [[0.0], [1.0], [0.0]]
    assert engine.seen[2].messages[0]["content"][1]["text"] == "Which is north?\nA. Nevada\nB. Maine"


def test_a_mixture_is_recognised_without_its_layout():
    """`inspect` and `publish` of its rows need not be told, except how golds name options, which are letters."""
    mixture = mix_datasets({"geo": geo(("<image>Find x.", "red", "3")), "science": science(1, 0)})

    evidence = collect_evidence(mixture.ds, Rollouts(Says(r"\boxed{B}"), attempts=1))

    assert evidence["rap_image_rewards"][:] == [[0.0], [1.0], [0.0]]


def test_marked_rows_are_not_asked_by_who_knows_no_layout():
    """The column with the reason has a name of ours."""
    bench = {"bench": geo(("Find x.", "red", "3"))}
    train = geo(("<image>Find x.", "red", "3"))
    engine = Says("3")

    for ds in (mark_test_rows(train, None, bench)[0], mix_datasets({"geo": train}, without=bench).ds):
        evidence = collect_evidence(ds, Rollouts(engine, attempts=1))
        assert evidence["rap_error"][0].startswith("in_test_set")
    assert engine.seen == []


def test_equal_rows_of_two_sources_have_one_id():
    """However they store their pictures; they are asked once."""
    first = geo(("<image>Find x.", "red", "3"))
    other = Dataset.from_list(
        [{"question": "<image>Find x.", "image": picture("red", "BMP"), "answer": 3}],
        features=Features({"question": S, "image": Image(), "answer": Value("int64")}),
    )

    mixture = mix_datasets({"a": first, "b": other})

    assert len(set(mixture.ds["id"])) == 1
    assert mixture.duplicates == {"a": 0, "b": 1}


def test_a_row_that_cannot_be_read_stays_with_its_reason(tmp_path):
    """It is not asked, and no layout of the mixture reads it as another row."""
    broken = science(1, 0, 5)
    mixture = mix_datasets({"science": broken})

    evidence = collect_evidence(mixture.ds, Rollouts(Says("B"), attempts=1, layout=mixture.layout))

    assert mixture.unreadable == {"science": {"gold_unreadable": 1}}
    assert evidence["rap_error"][2].startswith(
        "gold_unreadable: the gold answer 5 counts from 0 and there are 2 options"
    )


def test_rows_of_a_test_set_are_left_out():
    """The same words in another case and with other marks, and the same pixels in another format."""
    train = geo(("<image>Find x!", "red", "3"), ("<image>Find x!", "blue", "3"), ("<image>Find y!", "red", "3"))
    test = Dataset.from_list(
        [{"question": "find X", "image": picture("red", "BMP"), "answer": "3"}],
        features=Features({"question": S, "image": Image(), "answer": S}),
    )

    mixture = mix_datasets({"geo": train}, without={"bench": test})

    assert mixture.left_out == {"geo": 1}
    assert mixture.ds["rap_unasked"][:] == ["in_test_set: its question and pictures stand in bench", None, None]


def test_rows_of_one_dataset_are_marked_and_keep_their_columns(tmp_path):
    """A run that has asked them before does not give their replies."""
    train = geo(("<image>Find x.", "red", "3"), ("<image>Find y.", "red", "3"))
    engine = Says("3")
    run = str(tmp_path / "run")
    collect_in_run(train, Rollouts(engine, attempts=1), run)

    marked, layout = mark_test_rows(train, None, {"bench": geo(("Find x.", "red", "3"))})
    evidence = collect_in_run(marked, Rollouts(engine, attempts=1, layout=layout), run)

    assert marked.column_names == [*train.column_names, "rap_unasked"]
    assert evidence["rap_image_rewards"][:] == [None, [1.0]]
    assert evidence["rap_error"][:] == ["in_test_set: its question and pictures stand in bench", None]
    assert len(engine.seen) == 4  # nothing was asked again


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (lambda: mix_datasets({}), SettingError, "got no source"),
        (lambda: mix_datasets({"geo": geo(("a", "red", "3")).select([])}), SourceError, "geo has no rows"),
        (
            lambda: mix_datasets({"science": science(1, 1), "geo": geo(("a", "red", "3"))}),
            LayoutError,
            "^science: The golds in 'answer' are numbers of the options",
        ),
        (
            lambda: mix_datasets({"x": Dataset.from_dict({"y": [1]})}),
            LayoutError,
            "^x: No known layout has these columns: y",
        ),
        (lambda: mix_datasets([1]), SettingError, "sources is .*a dictionary by name"),
    ],
)
def test_what_cannot_be_mixed_names_its_source(given, error, message):
    """Before anything is written."""
    with pytest.raises(error, match=message):
        given()


def test_a_layout_can_be_given_for_a_source():
    """Where its golds do not say how they count."""
    layout = Layout("question", "image", "answer", choices="choices", answers_as="index1")

    assert mix_datasets({"s": science(1, 1)}, layouts={"s": layout}).ds["answer"][:] == [["A"], ["A"]]


def test_the_column_of_rows_that_are_not_asked_has_one_name():
    """Rooms of rows know it as a text, all others as a column."""
    assert columns.UNASKED.name == UNASKED


def test_sources_are_listed_with_the_strictest_licence_first():
    """No changed copies before unknown, before no trade, before share alike, before a name."""
    licences = {"a": "mit", "b": "cc-by-nc-4.0", "c": None, "d": "cc-by-sa-4.0", "e": "cc-by-nd-4.0", "f": "cc-by-4.0"}
    infos = {name: SourceInfo(f"user/{name}", licence=licence) for name, licence in licences.items()}

    info = describe_mixture(infos, dict.fromkeys(infos, 1))

    assert [part["name"] for part in info.parts] == ["e", "c", "b", "d", "a", "f"]
    assert info.licence == "cc-by-nd-4.0, unknown, cc-by-nc-4.0, cc-by-sa-4.0, mit, cc-by-4.0"
    assert info.id == "a + b + c + d + e + f"
    assert SourceInfo(**info.as_dict()) == info
