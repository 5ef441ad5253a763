"""The stages of dvc.yaml that follow `compose`."""

STAGES = ("prepare", "augment", "finetune", "evaluate")
"""In the order in which data flows."""
