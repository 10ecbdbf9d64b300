"""The stub engine is a module beside the tests: child processes and Ray workers import it, too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "endpoint"))  # the servers
