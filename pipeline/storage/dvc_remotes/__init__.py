"""Contents that DVC tracks, as objects named by their MD5: in its cache, and on its remotes."""
