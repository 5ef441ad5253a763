"""What MLflow holds: create, find and complete runs, metrics and models, so that nothing is doubled."""
