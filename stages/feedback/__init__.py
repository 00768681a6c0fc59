"""Find what was learned less, and ask for more of it."""
