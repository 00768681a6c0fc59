"""Register the adapter as a model version that knows its commit, its data and its judgement."""
