"""The errors of this suite.

Errors of Secrets Manager are the ``ServerException`` and ``ClientException`` that users of the SDK already catch.
"""


class ManagedCredentialsError(Exception):
    """The base class of every error of this suite."""


class ConfigurationError(ManagedCredentialsError, ValueError):
    """The configuration cannot work. The message names the file and the key, and says what to write there."""


class SecretFormatError(ManagedCredentialsError, ValueError):
    """The secret was read, but is not a managed RAM credential. The message names the secret."""


class ReplayError(ManagedCredentialsError):
    """A request whose key was rejected could not be sent again. It is the ``__cause__`` of the service's error."""
