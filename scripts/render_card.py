"""Print the card for facts in a JSON file, or for the manifest of a published version.

python scripts/render_card.py my-dataset-rap/rap.json > my-dataset-rap/README.md
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hf_rap.versions.cards import render_card


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit("usage: python scripts/render_card.py FACTS.json")
    facts = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.stdout.buffer.write(render_card(facts.get("facts", facts)).encode())


if __name__ == "__main__":
    main()
