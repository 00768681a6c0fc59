"""Words for every kept frame."""
