"""One module per DVC stage: read, call the core, write, log. Stages meet through files alone."""
