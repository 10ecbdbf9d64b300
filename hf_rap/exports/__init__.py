"""Rows -> files that trainers load."""

from __future__ import annotations
