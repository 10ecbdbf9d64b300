"""What a published version is made of: configs, facts, card, plots, samples, manifest."""
