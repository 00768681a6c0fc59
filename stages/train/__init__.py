"""Teach an adapter the subject, resumable to the bit."""
