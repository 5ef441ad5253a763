"""The configuration schema: pydantic models, defaults, validation messages."""
