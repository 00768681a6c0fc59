"""Measure every frame once, so that ``clean`` can be re-decided for free."""
