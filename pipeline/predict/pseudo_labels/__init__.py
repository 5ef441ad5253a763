"""Label unlabelled images by a model, for the training of another one (`finetrack pseudo-label`)."""
