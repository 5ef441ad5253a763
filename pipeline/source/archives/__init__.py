"""Unpack zip and tar archives safely."""
