"""What a sweep runs next: an Optuna study with samplers, pruners and repetitions. The one door to Optuna."""
