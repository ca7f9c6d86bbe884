"""The scoring service: requests to scores and back, without pandas, on both ends; BentoML runs it."""
