"""Doors, at module paths of the existing plugin."""
