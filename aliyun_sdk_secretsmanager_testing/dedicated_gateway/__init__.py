"""Secrets Manager behind a dedicated gateway: Dedicated KMS, ``GetSecretValue`` in Protocol Buffers."""
