"""What clients send: bodies, forms, JSON and images, received and decoded within limits."""
