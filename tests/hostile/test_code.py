"""What comes from outside is data: no picture, archive or reply makes a program run."""

import io
import json
import pickle
import subprocess
import tarfile

import pytest
from PIL import Image

from hf_rap.engines.endpoint import EndpointEngine
from hf_rap.errors import RapError, RowError
from hf_rap.rows.images import open_image
from hf_rap.rows.sources import load_source
from hf_rap.verify import judge


def test_a_picture_in_postscript_is_not_drawn(monkeypatch):
    """Pillow would start Ghostscript with it."""
    started = []
    monkeypatch.setattr(subprocess, "check_call", lambda *args, **options: started.append(args))
    monkeypatch.setattr(subprocess, "Popen", lambda *args, **options: started.append(args))
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "EPS")
    with pytest.raises(RowError, match="a file in the format EPS is drawn by another program, which is not started"):
        open_image(file.getvalue())
    assert started == []


class Runs:
    """Pickled, it makes a file when it is read."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return open, (self.place, "w")


@pytest.mark.parametrize("ending", ["pkl", "pickle", "pyd", "pt", "pth", "npy", "npz", "bin", "ten", "cbor"])
def test_a_pickle_in_a_webdataset_is_not_read(tmp_path, ending):
    """Its bytes are a cell, or the dataset is refused."""
    (tmp_path / "set").mkdir()
    ran = tmp_path / "ran"
    parts = {"json": json.dumps({"question": "q", "answer": "4"}).encode(), ending: pickle.dumps(Runs(str(ran)))}
    with tarfile.open(tmp_path / "set" / "train-0.tar", "w") as file:
        for name, content in parts.items():
            member = tarfile.TarInfo(f"0.{name}")
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    try:
        load_source(str(tmp_path / "set"))
    except RapError as error:
        assert "\n" not in str(error)  # noqa: PT017 - both are fine
    assert not ran.exists()


@pytest.mark.parametrize(
    "words",
    [
        "__import__('os').system('touch {ran}')",
        "open('{ran}', 'w')",
        "(lambda: open('{ran}', 'w'))()",
        "[c for c in ().__class__.__base__.__subclasses__()]",
        "\\input{{{ran}}}",
        "\\write18{{touch {ran}}}",
        "eval(compile('open(\"{ran}\", \"w\")', '', 'exec'))",
    ],
)
def test_an_answer_that_is_code_is_a_text(tmp_path, words):
    """As a reply and as a gold."""
    ran = tmp_path / "ran"
    text = words.format(ran=ran)
    judge(f"\\boxed{{{text}}}", "4")
    judge("\\boxed{4}", text)
    assert not ran.exists()


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "http://host:99999/v1",
        "http://host:x/v1",
        "http://",
        "http:///v1",
        "https://a b/v1",
        "http://h\x00/v1",
    ],
)
def test_an_address_that_is_none_is_refused_in_one_line(url):
    """Before anything is asked."""
    with pytest.raises(RapError) as caught:
        EndpointEngine(url, model="m")
    assert "\n" not in str(caught.value)
