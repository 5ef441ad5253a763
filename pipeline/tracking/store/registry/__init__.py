"""MLflow's model registry: register runs, read and change which version is the champion."""
