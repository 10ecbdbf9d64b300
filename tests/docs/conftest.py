"""Tests of pages find what reads their blocks."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
