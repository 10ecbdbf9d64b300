"""Numbers from a few attempts: counts, pass rates, what they leave open, and thresholds on them."""
