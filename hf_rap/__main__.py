"""`python -m hf_rap` is the command `hf-rap`."""

from .cli import main

main()
