"""The study of a sweep: an Optuna study in a database that decides what is trained next."""
