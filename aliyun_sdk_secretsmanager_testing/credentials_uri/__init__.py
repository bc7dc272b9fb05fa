"""A credentials URI, which answers each request with new temporary credentials."""
