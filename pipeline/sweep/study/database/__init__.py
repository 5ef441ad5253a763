"""The database of a study: connection, trials, owners, attributes."""
