"""The scoring service: requests to scores and back, without pandas; BentoML runs it."""
