"""Words of others on a screen, in a line to paste, on a card and in a manifest."""

import json
import logging
import os
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import datasets
import hypothesis
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import strategies as st

from hf_rap.cli import cli
from hf_rap.cli.output import echo, paste, print_json
from hf_rap.errors import SourceError, printable_logs, visible
from hf_rap.exports.base import Given
from hf_rap.exports.exporting import fenced
from hf_rap.exports.trainers import TRAINERS
from hf_rap.runs.index import ARM, ATTEMPTS, FAILURE, FIRST, GRADER, ID, KEY, LIMIT, wrong_in
from hf_rap.versions import cards
from hf_rap.versions.manifest import file_below, read_manifest
from hf_rap.versions.readme import BEGIN, END, merge_readme, metadata_of

STEERING = {
    "escape": "\x1b[31mred",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://x\x1b\\click",
    "clear": "\x1b[2J\x1b[H",
    "c1": "\x9b31m",
    "backspace": "secure\b\b\b\b\b\b",
    "return": "fine\rowned",
    "right_to_left": "\u202egnp.exe",
    "isolate": "\u2066a\u2069",
    "mark": "a\u200fb",
    "line_separator": "a\u2028b",
    "null": "a\0b",
    "delete": "a\x7fb",
    "half": "a\udc80b",
    "tag": "a\U000e0041b",
}


@pytest.mark.parametrize("name", STEERING)
def test_what_other_libraries_log_and_warn_of_steers_no_terminal(capsys, name):
    """datasets logs the name of a file that it cannot read, transformers those of weights, both as they are."""
    with printable_logs():
        handler = logging.StreamHandler(sys.stderr)
        log = logging.getLogger("another.library")
        log.addHandler(handler)
        log.warning("Failed to read %s", STEERING[name])
        log.removeHandler(handler)
        # What Python prints of a warning; pytest keeps warnings to itself.
        sys.stderr.write(warnings.formatwarning(STEERING[name], UserWarning, f"{STEERING[name]}.py", 1, line=""))
    said = capsys.readouterr().err
    assert said.count("\n") >= 2
    assert said.replace("\n", "").isprintable()


@pytest.mark.parametrize("name", STEERING)
def test_what_steers_a_terminal_is_spelled_out(capsys, name):
    """In notes, results, JSON and errors."""
    text = STEERING[name]
    echo(text)
    print_json({"a": text})
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert visible(text).isprintable()
    assert json.loads(out.partition("\n")[2]) == {"a": text}


def test_letters_of_all_languages_stay(capsys):
    """And tabs and lines."""
    echo("größe\tВ\n日本語 é")
    assert capsys.readouterr().out == "größe\tВ\n日本語 é\n"


@hypothesis.given(st.text(st.characters()), st.integers(1, 50))
def test_a_shown_text_is_bounded_and_printable(text, most):
    """Whatever it is."""
    shown = visible(text, most)
    assert shown.isprintable()
    assert len(shown) <= 10 * most + 3


@pytest.mark.parametrize("name", STEERING)
def test_an_id_of_a_row_cannot_steer_the_terminal(tmp_path, name):
    """`inspect` prints the ids and questions of a stranger."""
    text = STEERING[name].replace("\udc80", "")
    features = {**dict.fromkeys(("id", "question", "answer"), datasets.Value("string")), "image": datasets.Image()}
    rows = {"id": [text], "question": [f"What? {text}"], "answer": ["4"], "image": [None]}
    ds = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
    ds.to_parquet(tmp_path / "a.parquet")
    result = CliRunner().invoke(cli, ["inspect", str(tmp_path / "a.parquet")])
    assert result.exit_code == 0, result.output
    assert result.stdout.replace("\n", "").replace("\t", "").isprintable()


NAMES = [
    "a$(touch X)b.parquet",
    "a`touch X`.parquet",
    "a;touch X.parquet",
    "a b.parquet",
    "a'b.parquet",
    'a"b.parquet',
    "a\nb.parquet",
    "-rf.parquet",
    "a&b|c>d.parquet",
    "*.parquet",
    "~root.parquet",
    "$HOME.parquet",
    "a\\b.parquet",
    "#a.parquet",
    "!!.parquet",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_line_to_paste_runs_nothing(name):
    """A shell takes every name as one word."""
    assert shlex.split(paste("hf-rap", "select", name)) == ["hf-rap", "select", name]


def test_a_line_to_paste_names_the_very_file():
    """bash itself reads it; a path that begins with a dash is no option, and what steers a terminal is not in the line."""
    names = [
        *(text for name, text in STEERING.items() if name not in ("null", "half")),
        "-rf",
        "a'\\\x1b'",
        "x\udc80",
        "\t\n",
    ]
    line = paste("printf", "%s\\0", *map(Path, names))
    assert line.replace("\n", "").isprintable()
    said = subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout
    assert said.split(b"\0")[:-1] == [os.fsencode("./-rf" if name == "-rf" else Path(name)) for name in names]


@pytest.mark.parametrize("name", NAMES[:6])
def test_the_next_line_of_score_can_be_pasted(tmp_path, name):
    """As the command prints it."""
    rows = {"rap_id": ["a"], "rap_image_rewards": [[1.0]], "rap_text_rewards": [[0.0]]}
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "e.parquet")
    out = tmp_path / name
    result = CliRunner().invoke(cli, ["score", str(tmp_path / "e.parquet"), "--out", str(out)])
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("next: ")]
    assert shlex.split(line.removeprefix("next: "))[:3] == ["hf-rap", "select", str(out)]


@pytest.mark.parametrize("trainer", ["easyr1", "verl", "ms-swift", "openrlhf", "mm-eureka", "trl"])
@pytest.mark.parametrize("word", ["$(touch X)", "`touch X`", "; touch X", "' touch X '", "a\nb"])
def test_the_lines_of_a_trainer_run_nothing(tmp_path, trainer, word):
    """The folder's name and the arguments of the chat template, which rows tell."""
    given = Given(tmp_path / f"a{word}b", 4, 1, prompted=True, chat_template_kwargs={"mode": word})
    words = shlex.split(TRAINERS[trainer].snippet(given).replace("\\\n", " "), comments=True)
    assert "touch" not in words
    assert any(f"a{word}b" in part for part in words)


def test_a_block_cannot_be_ended_from_within():
    """A folder may be called by backticks."""
    assert fenced("a\n```\n<b>") == "````\na\n```\n<b>\n````"


MARKUP = [
    "<img src=http://t/x.gif>",
    "<script>alert(1)</script>",
    "![x](http://t/x.gif)",
    "[x](javascript:alert)",
    "http://evil.example/x",
    "www.evil.example",
    "me@evil.example",
    "</code></pre><b>",
    "```\n<b>",
    BEGIN,
    END,
    "| a | b |",
    "# title",
    "{{ 7*7 }}",
    "---\nlicense: mit\n---",
    "&lt;b&gt;",
    "\u202eevil",
]


@pytest.mark.parametrize("text", MARKUP)
def test_rows_are_quoted_on_a_card(text):
    """Text, code and code blocks alike hold no tag, link or mark of the card."""
    shown = str(cards._print(text))
    plain = shown.replace(cards._NO_LINK, "")
    assert not set("<>[]`#|{}\u202e\n") & set(plain.replace("&#", ""))
    assert "://" not in shown
    assert "www." not in shown
    for code in (cards._code(text), cards._python(text), cards._shell(shlex.quote(text))):
        assert END not in code
        assert BEGIN not in code
        assert "\n" not in code


@pytest.mark.parametrize("text", MARKUP)
def test_literals_of_a_card_mean_the_same(text):
    """Escaped, and still this text to Python and to a shell."""
    literal = str(cards._python(text))
    assert eval(literal) == text
    if text.isprintable():
        assert shlex.split(str(cards._shell(shlex.quote(text)))) == [text]


def test_a_generated_part_with_the_mark_of_its_end_stays_whole():
    """What the user has written behind it is not taken for generated."""
    card = f"---\ntags:\n- hf-rap\n---\n\n# Card\n\n{cards._python(END)}\n"
    once = merge_readme(f"mine\n\n{BEGIN}\nold\n{END}\n\nalso mine", card, {})
    assert merge_readme(once, card, metadata_of(card)) == once


FINE = {"version": "1.0.0", "facts": {}, "files": {"selected/train.parquet": {"sha256": "a", "bytes": 1}}}
ENTRY = {"sha256": "a", "bytes": 1}


@pytest.mark.parametrize(
    "name",
    [
        "../x.parquet",
        "selected/../../x.parquet",
        "/etc/passwd",
        "selected//x.parquet",
        "selected/./x.parquet",
        "C:\\x.parquet",
        "C:/x.parquet",
        "selected\\..\\x.parquet",
        "~/x.parquet",
        "selected/x\0.parquet",
        "",
        ".",
        "selected/",
        "http://h/x.parquet",
        "selected/\u202ex",
        "selected/a b.parquet",
        "*",
    ],
)
def test_a_manifest_lists_files_of_its_own_folder_alone(name):
    """Nothing else is read, exported or fetched by its word."""
    with pytest.raises(SourceError, match="no file of its own folder") as caught:
        read_manifest(json.dumps({**FINE, "files": {name: ENTRY}}).encode(), "user/name")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"[" * 200_000,
        b'{"version": "1.0.0"',
        b"\xff\xfe",
        json.dumps({**FINE, "version": 1}).encode(),
        json.dumps({**FINE, "facts": []}).encode(),
        json.dumps({**FINE, "files": []}).encode(),
        json.dumps({**FINE, "files": {"a": None}}).encode(),
        json.dumps({**FINE, "files": {"a": {"sha256": 1, "bytes": 1}}}).encode(),
        json.dumps({**FINE, "files": {"a": {"sha256": "a"}}}).encode(),
    ],
)
def test_a_manifest_of_another_shape_is_refused(content):
    """In one sentence."""
    with pytest.raises(SourceError, match=r"user/name: its rap\.json") as caught:
        read_manifest(content, "user/name")
    assert "\n" not in str(caught.value)


def test_a_listed_file_that_is_a_link_out_is_none(tmp_path):
    """A link within the folder is fine."""
    (tmp_path / "v" / "selected").mkdir(parents=True)
    (tmp_path / "private").write_text("x")
    (tmp_path / "v" / "selected" / "a").symlink_to(tmp_path / "private")
    (tmp_path / "v" / "b").write_text("x")
    (tmp_path / "v" / "selected" / "c").symlink_to("../b")
    assert file_below(tmp_path / "v", "selected/a") is None
    assert file_below(tmp_path / "v", "selected/c") == (tmp_path / "v" / "b").resolve()
    assert file_below(tmp_path / "v", "gone") is None


def part(**changes):
    """A part of a run with one row of two attempts."""
    columns = {KEY: "k", ID: "a", FAILURE: None, ARM: None, GRADER: "g", FIRST: 0, ATTEMPTS: 2, LIMIT: 9}
    columns |= {"rap_image_rewards": [1.0, None], "rap_image_responses": ["a", "b"], **changes}
    return pa.table({name: [value] for name, value in columns.items()})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, None),
        ({"rap_image_rewards": [0.5, 1.0]}, None),
        ({"rap_image_rewards": [7.0, 1.0]}, "rap_image_rewards has 7, and rewards are in [0, 1]"),
        ({"rap_image_rewards": [float("nan"), 1.0]}, "rap_image_rewards has nan, and rewards are in [0, 1]"),
        ({"rap_image_rewards": [float("inf"), 1.0]}, "rap_image_rewards has inf, and rewards are in [0, 1]"),
        ({"rap_image_rewards": [-0.1, 1.0]}, "rap_image_rewards has -0.1, and rewards are in [0, 1]"),
        ({"rap_image_rewards": [1.0]}, "rap_image_rewards has not as many entries as rap_image_responses"),
        ({KEY: None}, f"{KEY} is null in 1 rows"),
        ({ID: None}, f"{ID} is null in 1 rows"),
        ({ATTEMPTS: 0}, "it counts attempts from below 0, or none"),
        ({FIRST: -1}, "it counts attempts from below 0, or none"),
    ],
)
def test_forged_evidence_stops_when_its_part_is_read(changes, message):
    """A hash in a file's name is no signature: anybody can make one."""
    assert wrong_in(part(**changes)) == message


def test_an_empty_part_is_a_good_one():
    """It has nothing wrong in it."""
    assert wrong_in(part().slice(0, 0)) is None
