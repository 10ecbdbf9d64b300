"""What the checks of `check_trainers.sh` found, as the table of docs/measurements/trainers.md.

python scripts/trainers_table.py FOLDER
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

COLUMNS = ("rows", "golds", "pixels as scored", "prompt as scored", "verdicts", "lines accepted")


def main() -> None:
    found: dict[str, dict] = {}
    for line in (Path(sys.argv[1]) / "results.jsonl").read_text().splitlines():
        result = json.loads(line)
        found.setdefault(result.pop("trainer"), {}).update(result)
    print(f"Run on {datetime.now(UTC).date()}:\n")
    print(f"| trainer | export | {' | '.join(COLUMNS)} |")
    print("|---|---|" + "---|" * len(COLUMNS))
    for trainer, result in found.items():
        version = "(checkout)" if result["version"] == trainer else result["version"]
        title = f"{trainer} {version}, datasets {result['datasets']}"
        for place, (export, shares) in enumerate(result["exports"].items()):
            shown = {**shares, "verdicts": result.get("verdicts", "")}
            shown |= {"lines accepted": result.get("lines accepted", "")} if not place else {}
            print(f"| {title} | `{export}` | {' | '.join(shown.get(name, '') or '-' for name in COLUMNS)} |")


if __name__ == "__main__":
    main()
