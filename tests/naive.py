"""Brute-force twins of the numeric core: plain loops, obviously right, slow."""
