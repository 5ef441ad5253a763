"""The model that answers: found, loaded, fed from a queue, and replaced when its alias moves."""
