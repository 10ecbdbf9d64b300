"""The notebook of docs/notebooks: what stands in the repository is what its source gives, and it runs in a kernel."""

import runpy
from pathlib import Path

import pytest

pytest.importorskip("jupytext", reason="pip install jupytext nbclient ipykernel ipywidgets")
pytest.importorskip("nbclient", reason="pip install jupytext nbclient ipykernel ipywidgets")

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "docs" / "notebooks" / "first_selection.py"


@pytest.fixture(scope="module")
def script():
    """scripts/render_notebook.py."""
    return runpy.run_path(str(ROOT / "scripts" / "render_notebook.py"))


def test_notebook_has_the_cells_of_its_source(script):
    """`python scripts/render_notebook.py` writes it anew; no place of this machine stands in it."""
    assert script["differing"]() == []
    text = SOURCE.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert "/content/planted-rap" in text
    assert "/tmp/" not in text
    assert "vnd.jupyter.widget" not in text


def outputs_of(notebook):
    """All that the cells show, in their order."""
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


@pytest.mark.exhaustive
def test_notebook_runs(script, tmp_path, monkeypatch):
    """Nobody warns, no line is too long for a page, and what is read last is a picture; the figures are those that stand there."""
    import nbformat

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = script["run"](script["read"](SOURCE), tmp_path)
    outputs = outputs_of(notebook)
    assert [output for output in outputs if output.get("name") == "stderr"] == []
    texts = [output.get("text") or output["data"].get("text/plain", "") for output in outputs]
    assert max(len(line) for text in texts for line in text.splitlines()) < 200
    assert "image/png" in outputs[-1]["data"]
    stored = nbformat.read(SOURCE.with_suffix(".ipynb"), 4)
    tables = [
        output["data"].get("text/plain") for output in outputs_of(stored) if "text/html" in output.get("data", {})
    ]
    script["tidy"](notebook, tmp_path)
    assert [
        output["data"].get("text/plain") for output in outputs_of(notebook) if "text/html" in output.get("data", {})
    ] == tables
