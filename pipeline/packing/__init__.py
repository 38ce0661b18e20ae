"""From raw parquet to shards: planned, packed by workers, and indexed."""
