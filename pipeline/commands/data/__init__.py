"""Commands about images: what is in them, which are used, what would be changed."""
