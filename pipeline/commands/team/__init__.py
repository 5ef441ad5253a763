"""Commands by which a team shares iterations."""
