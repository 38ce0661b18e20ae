"""WebDataset tars and their index, ours and others': what they hold, and how they are read."""
