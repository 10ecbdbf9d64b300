"""An export from outside that does not write what it should is refused, and leaves nothing behind."""

import json

import pytest

from hf_rap import export, plugins
from hf_rap.demo import make_planted
from hf_rap.errors import ExportError, SettingError
from hf_rap.exports.base import Accepts
from hf_rap.plugins import Plugin

DS = make_planted(6)


class Own:
    name, title, reads, accepts = "own", "own 1.0", "all", Accepts("none")

    def write(self, rows, features, target):
        (target.folder / "train.jsonl").write_text("".join(json.dumps(row["answer"]) + "\n" for row in rows))

    def snippet(self, given):
        return f"train {given.folder}"


def exported(folder, monkeypatch, **parts):
    own = type("Own", (Own,), parts)()
    monkeypatch.setattr(plugins, "_named", {"here": Plugin("own", "export", own, "here")})
    return export(DS, to="own", path=folder / "out", drop=True)


def test_it_writes_the_rows(tmp_path, monkeypatch):
    """All that are not refused, and what to paste."""
    done = exported(tmp_path, monkeypatch)
    assert len((tmp_path / "out" / "train.jsonl").read_text().splitlines()) == done.handoff.ready == 5
    assert done.snippet == f"train {tmp_path / 'out'}"


def yields(self, rows, features, target):
    yield from rows


async def later(self, rows, features, target):
    list(rows)


def writes(self, rows, features, target):
    (target.folder / "train.jsonl").write_text("")


def stops(self, rows, features, target):
    writes(self, rows, features, target)
    next(iter(rows))


def elsewhere(self, rows, features, target):
    list(rows)
    target.final.mkdir()
    (target.final / "train.jsonl").write_text("")


@pytest.mark.parametrize(
    ("parts", "error", "says"),
    [
        ({"write": yields}, SettingError, "Own.write is asynchronous or yields, so that nothing of it would run"),
        ({"write": later}, SettingError, "Own.write is asynchronous or yields"),
        ({"write": lambda self, rows: None}, SettingError, "Own.write cannot be called with (rows, features, target)"),
        ({"snippet": lambda self: None}, SettingError, "Own.snippet cannot be called with (given)"),
        ({"write": writes}, ExportError, "Own.write has read 0 of 5 rows, so nothing is exported."),
        ({"write": stops}, ExportError, "Own.write has read 1 of 5 rows"),
        ({"write": lambda self, rows, f, t: list(rows)}, ExportError, "Own.write has written nothing into target.folder."),
        ({"snippet": lambda self, given: None}, SettingError, "what Own.snippet gives is None: it takes a text."),
        ({"accepts": "none"}, SettingError, "Own.accepts is 'none': it takes Accepts(...) of hf_rap.exports.base."),
        ({"title": None}, SettingError, "Own.title is None: it takes a text."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(tmp_path, monkeypatch, parts, error, says):
    """By the name of its class, and no folder is there."""
    with pytest.raises(error) as raised:
        exported(tmp_path, monkeypatch, **parts)
    assert says in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_what_it_raises_itself_leaves_no_folder(tmp_path, monkeypatch):
    """Its own error, with its place."""
    with pytest.raises(ZeroDivisionError):
        exported(tmp_path, monkeypatch, write=lambda self, rows, features, target: 1 / 0)
    assert list(tmp_path.iterdir()) == []


def test_the_final_place_is_not_written_to(tmp_path, monkeypatch):
    """The folder is moved there when it is whole."""
    with pytest.raises(ExportError, match=r"^Own\.write has written to target\.final \("):
        exported(tmp_path, monkeypatch, write=elsewhere)


def test_a_verifier_that_nobody_knows_is_told():
    """When the module is imported."""
    with pytest.raises(SettingError, match=r"^verifier is 'mathverify': it takes one of math-verify, mathruler, none"):
        Accepts("mathverify")
