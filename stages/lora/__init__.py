"""LoRA files: written so that each program loads them at their true strength, read back, and arithmetic on them."""
