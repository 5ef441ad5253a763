"""A short test of learning rates on the user's own images (finetune.lr0=auto)."""
