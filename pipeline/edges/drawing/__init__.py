"""Procedural pictures with exact labels: no photograph, no download."""
