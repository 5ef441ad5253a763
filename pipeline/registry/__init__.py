"""Register models, and decide which one is in use: `register`, `promote`, `rollback`."""
