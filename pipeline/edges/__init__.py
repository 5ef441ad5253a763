"""I/O. Each third party has one door here, and nothing here knows the configuration."""

import os

from pipeline.edges import files

# Several libraries import matplotlib, and it looks for a place of its own in the home folder when they do.
os.environ["MPLCONFIGDIR"] = str(files.project_root() / files.SCRATCH / "matplotlib")
