"""A door to ``compat.credential_updater``: programs for the existing plugin import from this module."""

from .compat.credential_updater import SecretsMangerOssPluginCredentialUpdater

__all__ = ["SecretsMangerOssPluginCredentialUpdater"]
