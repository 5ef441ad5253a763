"""Pure functions on values: the standard library and numpy, no files, no frameworks."""
