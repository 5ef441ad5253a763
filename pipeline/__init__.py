"""finetrack: experiment-tracked fine-tuning of Ultralytics YOLO.

The stages `prepare`, `augment`, `finetune` and `evaluate` meet through files, never through imports. Imports
point one way; the contracts in pyproject.toml say which (docs/architecture.md has the map).
"""
