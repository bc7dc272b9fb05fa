"""A door to ``compat.plugin_credentials``: programs for the existing plugin import from this module."""

from ..compat.plugin_credentials import generate_credentials_by_secret, generate_secret_info_by_credentials

__all__ = ["generate_credentials_by_secret", "generate_secret_info_by_credentials"]
