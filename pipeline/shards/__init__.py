"""WebDataset tars and their index: planned, packed, written, read and described for others."""
