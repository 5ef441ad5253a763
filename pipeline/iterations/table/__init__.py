"""The table of iterations for the terminal, and as JSON."""
