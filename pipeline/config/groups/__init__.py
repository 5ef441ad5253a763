"""The schema of each group of conf/."""
