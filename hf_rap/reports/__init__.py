"""A selection -> one page on which a person sees its rows, moves its thresholds, and reads why."""
