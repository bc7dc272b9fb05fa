"""A credentials URI: whoever asks there gets new temporary credentials."""
