"""Run the demo and keep its card: README.md, plots and the facts that both were rendered from.

python scripts/render_demo_card.py
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CARDS = Path(__file__).parents[1] / "dataset_cards"


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        version = Path(scratch) / "rap-demo"
        subprocess.run([sys.executable, "-m", "hf_rap", "demo", "--out", version], check=True)
        target = CARDS / "demo"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        shutil.copy(version / "README.md", target)
        shutil.copytree(version / "plots", target / "plots")
        facts = json.loads((version / "rap.json").read_text())["facts"]
        (target / "facts.json").write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
