"""Read text files of boxes in pixels, as in DeepPCB."""
