"""Memory of mapped files is given back, and their content stays."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import datasets
import pytest

from hf_rap.system import release_mapped_files

pytestmark = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux only")


def mapped_megabytes():
    """Of files in this process's memory."""
    return int(re.search(r"RssFile:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


@pytest.mark.slow
def test_pages_that_were_read_are_given_back(tmp_path):
    """60 MB are read, and read again with the same content; what lies in memory is left alone."""
    rows = datasets.Dataset.from_dict({"bytes": [os.urandom(1_000_000) for _ in range(60)]})
    rows.save_to_disk(tmp_path / "ds")
    mapped = datasets.load_from_disk(str(tmp_path / "ds")).with_format("arrow")
    before = mapped_megabytes()
    assert all(mapped[place]["bytes"] == rows.with_format("arrow")[place]["bytes"] for place in range(60))
    assert mapped_megabytes() > before + 50
    release_mapped_files()
    assert mapped_megabytes() < before + 10
    assert all(mapped[place]["bytes"] == rows.with_format("arrow")[place]["bytes"] for place in range(60))


@pytest.mark.slow
def test_reading_rows_for_a_run_does_not_keep_them(tmp_path):
    """The pass over all images of a run leaves no more than a batch behind."""
    from hf_rap import Layout, Rollouts
    from hf_rap.demo import demo_engine
    from hf_rap.runs.index import read_rows

    images = [{"bytes": os.urandom(200_000), "path": None} for _ in range(300)]
    features = datasets.Features(
        {"q": datasets.Value("string"), "a": datasets.Value("string"), "i": datasets.Image(decode=False)}
    )
    rows = datasets.Dataset.from_dict({"q": ["q"] * 300, "a": ["1"] * 300, "i": images}, features=features)
    rows.save_to_disk(tmp_path / "ds")
    mapped = datasets.load_from_disk(str(tmp_path / "ds"))
    layout = Layout(question="q", images="i", answer="a")
    before = mapped_megabytes()
    found = read_rows(mapped, Rollouts(demo_engine(), layout=layout), layout)
    assert len({row.key for row in found}) == 300
    assert mapped_megabytes() < before + 15


KEPT = """
from pathlib import Path
from hf_rap.system import give_back_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

give_back_memory()  # what it loads is loaded
blocks = [bytes(2000) for _ in range(100_000)]
kept = blocks[::1000]  # so that none of it lies at the end, where the C library looks by itself
del blocks
before = resident()
give_back_memory()
print(before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is kept for later is the C library's own affair")
def test_memory_that_was_needed_once_goes_back():
    """Of 200 MB that are free again, a hundred small blocks are kept all over them: nearly all goes back to the system."""
    done = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 150e6
