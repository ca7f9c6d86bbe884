"""What no reading exceeds."""

LARGEST_READING = 1e100  # its square is still a number; no sensor reads more
