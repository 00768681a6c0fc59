"""Pictures by base and adapter: the same prompts, the same seeds."""
