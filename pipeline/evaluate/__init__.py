"""The evaluate stage: predict on the test split, compute metrics, write reports."""
