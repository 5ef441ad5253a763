"""How points are proposed and pruned: Optuna's distributions, samplers and pruners."""
