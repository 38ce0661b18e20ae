"""Raw parquet and what is in it: labels, keys, statistics, duplicates, and the crops made of it."""
