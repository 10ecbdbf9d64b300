"""What every callable is tried with is a module beside the tests: child processes import it, too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
