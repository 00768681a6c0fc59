"""Round after round: find what was learned less, fetch more of it, and say what that was worth."""
