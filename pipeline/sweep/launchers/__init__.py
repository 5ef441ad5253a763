"""Where the jobs of a sweep run: on this machine, on a Slurm cluster, on a Ray cluster."""
