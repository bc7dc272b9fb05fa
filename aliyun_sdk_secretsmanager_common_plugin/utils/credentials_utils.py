"""The old path of generate_credentials_by_secret and generate_secret_info_by_credentials."""

from ..plugin_credentials import generate_credentials_by_secret, generate_secret_info_by_credentials

__all__ = ["generate_credentials_by_secret", "generate_secret_info_by_credentials"]
