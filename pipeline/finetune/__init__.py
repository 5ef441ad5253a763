"""The finetune stage: train, keep checkpoints, log the run."""
