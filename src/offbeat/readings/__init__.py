"""What comes in: series of readings, where they come from, and what is wrong with them."""
