"""How the work on thousands of assets is cut into shards, and where the shards run."""
