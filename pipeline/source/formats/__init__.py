"""One package per annotation format: reader.py with RECOGNIZED_BY, matches_folder and read_folder."""
