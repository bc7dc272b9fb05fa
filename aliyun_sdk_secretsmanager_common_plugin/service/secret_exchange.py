"""A door to ``compat.credentials_provider``: programs for the existing plugin import from this module."""

from ..compat.credentials_provider import SecretExchange

__all__ = ["SecretExchange"]
