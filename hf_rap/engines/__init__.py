"""Engines turn requests into completions. Only this package imports torch and transformers."""
