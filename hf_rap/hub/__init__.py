"""Versions on the Hugging Face Hub: publish, read back, compare, decide anew, take back."""

from __future__ import annotations

from .differing import diff
from .publishing import Release, publish
from .reading import load
from .reselecting import reselect
from .yanking import yank

__all__ = ["Release", "diff", "load", "publish", "reselect", "yank"]
