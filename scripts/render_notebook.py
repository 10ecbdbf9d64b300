"""Run docs/notebooks/*.py and write each as a notebook with its results, for the site, for Colab and for the Hub.

    python scripts/render_notebook.py
    python scripts/render_notebook.py --check   # only whether the notebooks have the cells of their sources; runs nothing

Progress bars are left out, and the folder that a notebook ran in stands as that of Colab.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "docs" / "notebooks"
COLAB = "/content"
SECONDS = 600  # for one cell; all of them take one to two minutes
_WIDGET = "application/vnd.jupyter.widget-view+json"


def read(source: Path) -> nbformat.NotebookNode:
    """The notebook of a source, cells numbered so that the same source gives the same notebook."""
    notebook = jupytext.read(source)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    return notebook


def run(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """The notebook with all that its cells have said, bars and warnings included."""
    place = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", resources=place).execute()
    return notebook


def tidy(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Without what is another one at every run: bars, times, the folder."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata.language_info = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        outputs = [output for output in cell.get("outputs", []) if _WIDGET not in output.get("data", {})]
        for output in outputs:
            output.get("data", {}).pop("image/jpeg", None)  # beside the PNG of the same picture
            for texts in (output, output.get("data", {})):
                texts.update(
                    {name: text.replace(str(folder), COLAB) for name, text in texts.items() if isinstance(text, str)}
                )
        if cell.cell_type == "code":
            cell["outputs"] = outputs
    return notebook


def cells(notebook: nbformat.NotebookNode) -> list[tuple[str, str]]:
    """Kind and text of each."""
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def differing() -> list[str]:
    """The notebooks that have other cells than their source, or are not there."""
    found = []
    for source in sorted(NOTEBOOKS.glob("*.py")):
        target = source.with_suffix(".ipynb")
        if not target.is_file() or cells(nbformat.read(target, 4)) != cells(read(source)):
            found.append(target.name)
    return found


def main() -> None:
    if "--check" in sys.argv:
        if names := differing():
            sys.exit(f"{', '.join(names)}: not as its source; run python scripts/render_notebook.py")
        return
    for source in sorted(NOTEBOOKS.glob("*.py")):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder).resolve()
            notebook = tidy(run(read(source), place), place)
        nbformat.write(notebook, source.with_suffix(".ipynb"))


if __name__ == "__main__":
    main()
