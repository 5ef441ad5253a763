"""What people see of a sweep: the live table, the results, pictures, MLflow, best.yaml."""
