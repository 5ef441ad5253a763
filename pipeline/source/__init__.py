"""Read what users have: annotation formats, archives, and the drawn demo."""
