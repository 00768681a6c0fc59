"""Fetch pictures and videos from the chosen sources, with all that is said of the rights to them."""
