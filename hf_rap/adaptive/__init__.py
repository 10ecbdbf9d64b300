"""Attempts where they matter: rows get as many as their decision needs, instead of all the same number."""
