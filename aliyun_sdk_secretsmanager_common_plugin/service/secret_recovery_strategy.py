"""The old path of SecretRecoveryStrategy."""

from ..credentials_provider import SecretRecoveryStrategy

__all__ = ["SecretRecoveryStrategy"]
