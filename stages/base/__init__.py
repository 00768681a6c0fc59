"""Get the base model: fetch the pinned one, take the shipped one, or train the tiny one."""
