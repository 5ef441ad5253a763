"""What people type: the arguments of all commands, and Hydra overrides among them."""
