"""Read Label Studio JSON exports."""
