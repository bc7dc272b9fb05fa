"""The errors of this suite.

Errors of Secrets Manager itself are the SDK's own ``ServerException`` and ``ClientException``, which users of the
SDK already catch.
"""


class ManagedCredentialsError(Exception):
    """Above every error of this suite."""


class ConfigurationError(ManagedCredentialsError, ValueError):
    """The configuration cannot work: the message names the file and the key, and says what to write there."""


class SecretFormatError(ManagedCredentialsError, ValueError):
    """The secret was read, but is no managed RAM credential: the message names the secret."""


class ReplayError(ManagedCredentialsError):
    """A request was rejected with its key and could not be sent again; chained to the service's own error."""
