"""The pseudo-labelled images of data.unlabelled_source, which become train images."""
