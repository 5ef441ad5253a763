"""The compose stage: conf/ to params.yaml, fingerprints of data and code."""
