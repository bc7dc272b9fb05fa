"""Secrets Manager behind its shared gateway: KMS 2016-01-20, ``GetSecretValue``."""
