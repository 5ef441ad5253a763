"""Commands about iterations: list, compare, promote and restore them."""
