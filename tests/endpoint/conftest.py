"""The server is a module beside the tests; the stub engine and its rows are one beside those of runs."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "runs")]
