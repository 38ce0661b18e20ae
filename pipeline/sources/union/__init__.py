"""Several sources as one dataset."""
