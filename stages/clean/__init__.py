"""Decide which frames stay."""
