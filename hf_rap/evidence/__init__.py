"""What a model did with each row: replies of every arm, attention, likelihoods."""
