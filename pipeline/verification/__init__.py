"""Every fault of raw files and shards, by file and key."""
