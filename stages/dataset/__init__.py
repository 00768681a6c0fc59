"""The prepared pictures as other tools read them, with the rights to each: ``python -m stages.dataset FORMAT``."""
