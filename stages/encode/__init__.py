"""Latents and text embeddings, once, for every later training run."""
