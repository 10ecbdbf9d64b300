"""Runs: evidence collected into a folder that survives whatever happens to the processes that fill it."""
