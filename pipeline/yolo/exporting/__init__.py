"""Export a checkpoint to another format with Ultralytics' exporters."""
