"""The prepare stage: check, deduplicate, split and write the dataset."""
