"""Share iterations: data and weights by a DVC remote, experiments by a git remote (`push`, `pull`)."""
