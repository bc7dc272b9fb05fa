"""Who we are when we ask Secrets Manager: the ``credentials_type`` of the settings, or credentials of the program."""

import importlib.util
import sys
from typing import Any

from ..access_key import AccessKey
from ..exceptions import ConfigurationError
from ..settings import IdentitySettings
from .identity import ClientKeyIdentity, Identity, IdentityError, KeyIdentity

__all__ = ["Identity", "IdentityError", "configured_identity", "program_identity"]


def configured_identity(settings: IdentitySettings) -> Identity:
    """Return the identity that the settings describe.

    Raises:
        ConfigurationError: the client key cannot be opened, an extra is missing, or the environment or the installed
            library rules this ``credentials_type`` out.
    """
    credentials_type = settings.credentials_type
    about = "credentials_type=" + credentials_type
    if settings.client_key is not None:
        from .client_key import load_client_key

        return ClientKeyIdentity(about, load_client_key(settings.client_key))
    if credentials_type in ("ak", "token", "sts_token"):
        return KeyIdentity(about, AccessKey(
            settings.access_key_id, settings.access_key_secret, settings.security_token or None))
    from .credentials_library import configured_source, import_library, is_set
    from .renewable_identity import RenewableIdentity

    if importlib.util.find_spec("alibabacloud_credentials") is None:
        raise ConfigurationError(
            '{} needs the extra "identities": pip install '
            '"aliyun-sdk-managed-credentials-providers[identities]"'.format(about))
    if credentials_type == "ecs_ram_role" and is_set("ALIBABA_CLOUD_ECS_METADATA_DISABLED"):
        raise ConfigurationError("{} cannot work where the environment variable ALIBABA_CLOUD_ECS_METADATA_DISABLED is "
                                 "true; unset it, or choose another credentials_type".format(about))
    source = configured_source(settings)
    import_library()
    return RenewableIdentity(", ".join(filter(None, (about, source.address))), source)


def program_identity(credentials: Any) -> Identity:
    """Return the identity whose credentials an object of the program gives.

    Args:
        credentials: a client or provider of ``alibabacloud_credentials``, the context of a Function Compute function,
            or any object with ``get_credentials()`` or ``credentials``. The credentials have an access_key_id, an
            access_key_secret and perhaps a security_token, as attributes or with getters.

    Raises:
        ConfigurationError: it is none of these.
    """
    from .credentials_library import import_library
    from .credentials_source import ProgramSource, getter_of
    from .renewable_identity import RenewableIdentity

    name = type(credentials).__name__
    if getter_of(credentials) is None:
        raise ConfigurationError(
            "cannot get credentials from a {}; give a client or provider of alibabacloud_credentials, or anything with "
            "get_credentials() or credentials".format(name))
    if "alibabacloud_credentials" in sys.modules:
        import_library()
    return RenewableIdentity("the program's {}".format(name), ProgramSource(credentials))
