"""One training in several processes, each with a device: Ultralytics' DDP, with one process that watches."""
