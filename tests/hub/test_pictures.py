"""Datasets of the Hub whose pictures are files beside their rows: loaded by an ordinary client, asked, scored and published."""

import io
import json
import tarfile
import zipfile

import pyarrow.parquet as pq
import pytest
from PIL import Image

from hf_rap import Layout, Rollouts, collect_evidence, publish_to_folder, select_cognitive
from hf_rap.engines.base import Completion
from hf_rap.rows.sources import load_source
from hf_rap.scorers import CDEScore, DifficultyScore
from hf_rap.scorers.base import add_scores

NAME = "user/pictures"
ROWS = [{"question": f"How many? {number}", "answer": "4"} for number in range(3)]


class Sees:
    """An engine that is right with the picture alone."""

    def describe(self):
        return {"model": "sees"}

    def complete(self, requests, sampling):
        return [
            [Completion("4" if request.images else "5", 3, False) for _ in range(request.attempts)]
            for request in requests
        ]


def png(number):
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (80 * number, 9, 9)).save(file, "PNG")
    return file.getvalue()


def as_folder(folder):
    """Pictures and a metadata file."""
    (folder / "train").mkdir(parents=True)
    for number in range(3):
        (folder / "train" / f"{number}.png").write_bytes(png(number))
    lines = [json.dumps({"file_name": f"{number}.png", **row}) for number, row in enumerate(ROWS)]
    (folder / "train" / "metadata.jsonl").write_text("\n".join(lines))


def as_zip(folder):
    """The same in a zip file."""
    as_folder(folder / "inside")
    with zipfile.ZipFile(folder / "train.zip", "w") as file:
        for path in sorted((folder / "inside" / "train").iterdir()):
            file.write(path, path.name)
            path.unlink()
    (folder / "inside" / "train").rmdir()
    (folder / "inside").rmdir()


def as_webdataset(folder):
    """A tar of pictures and JSON files."""
    folder.mkdir()
    with tarfile.open(folder / "train-0000.tar", "w") as file:
        for number, row in enumerate(ROWS):
            for ending, content in (("png", png(number)), ("json", json.dumps(row).encode())):
                member = tarfile.TarInfo(f"{number}.{ending}")
                member.size = len(content)
                file.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize(
    ("make", "layout"),
    [(as_folder, None), (as_zip, None), (as_webdataset, Layout("json.question", "png", "json.answer"))],
    ids=["folder", "zip", "webdataset"],
)
def test_pictures_of_a_dataset_of_the_hub_are_asked_and_published(api, tmp_path, make, layout):
    """Their files lie in the caches of this very revision; the version holds their bytes, and no folder of this machine."""
    make(tmp_path / "set")
    api.create_repo(NAME, repo_type="dataset")
    api.upload_folder(repo_id=NAME, repo_type="dataset", folder_path=str(tmp_path / "set"))
    ds = load_source(NAME)
    evidence = collect_evidence(ds, Rollouts(Sees(), attempts=2, layout=layout))
    assert evidence["rap_error"][:] == [None] * 3
    selection = select_cognitive(add_scores(evidence, CDEScore(), DifficultyScore()), min_cde=0.5, replace_easy=False)
    done = publish_to_folder(selection, tmp_path / "version", layout=layout)
    assert not done.facts.get("images_missing")
    (file,) = (tmp_path / "version" / "selected").glob("*.parquet")
    cells = str(pq.read_table(file).to_pylist())
    assert all(repr(png(number))[1:-1] in cells for number in range(3))
    assert str(tmp_path) not in cells
