"""Compare pictures or videos with those that they should equal: ``python -m stages.compare REFERENCE OTHER``."""
