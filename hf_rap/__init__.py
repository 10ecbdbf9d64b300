"""Select the rows of a multimodal dataset that make a model reason."""
