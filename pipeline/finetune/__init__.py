"""The finetune stage: train, save checkpoints, log the run."""
