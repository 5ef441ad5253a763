"""HTML pages that need no other file: templates and rendering."""
