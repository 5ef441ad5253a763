"""Files on disk: atomic writes, fingerprints, git, base weights."""
