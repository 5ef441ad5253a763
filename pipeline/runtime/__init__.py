"""How the pipeline runs: environment, worker threads, Ray, memory."""
