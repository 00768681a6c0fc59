"""Registered versions on the command line: listed, compared, promoted, and their files found again."""
