"""The classes that stand in the place of `oss2.Bucket` while oss2's own unit tests run.

A variant is a function of the original class and a census; it returns the class to put there:

original    oss2.Bucket itself, but counted
subclass    a subclass that adds nothing: what the comparison says of it is what the comparison itself is worth
proxy       the OSS plugin's ProxyBucket; the key of the `oss2.Auth` that a test hands over reaches it through a source of secrets in memory
"""
import collections
import inspect

import suite_credentials


def original(bucket_class, census):
    return _class_in_place_of(bucket_class, lambda arguments: _counted(census, 'original', bucket_class, arguments))


def subclass(bucket_class, census):
    class Subclass(bucket_class):
        pass

    return _class_in_place_of(bucket_class, lambda arguments: _counted(census, 'subclass', Subclass, arguments))


def proxy(bucket_class, census):
    from aliyun_sdk_secretsmanager_oss_plugin.proxy_bucket import ProxyBucket
    secrets = suite_credentials.SecretsInMemory()
    facade = suite_credentials.facade_of(secrets)

    def make(arguments):
        auth = arguments['auth']
        unmanaged = _why_unmanaged(auth)
        if unmanaged:
            return _counted(census, 'original: ' + unmanaged, bucket_class, arguments)
        arguments = collections.OrderedDict(arguments)
        del arguments['auth']
        arguments['secret_name'] = _secret_with(secrets, auth)
        arguments['auth_version'] = auth.auth_version()
        return _counted(census, 'proxy', ProxyBucket, dict(arguments, managed_credentials=facade))

    return _class_in_place_of(bucket_class, make)


VARIANTS = {'original': original, 'subclass': subclass, 'proxy': proxy}


def _why_unmanaged(auth):
    """Why no ProxyBucket can stand in for a bucket with this auth, or None."""
    if not hasattr(auth, 'credentials_provider'):
        return 'the test hands over no key'
    return None


def _secret_with(secrets, auth):
    """The name of a secret that holds the key of the auth."""
    key = auth.credentials_provider.get_credentials()
    return secrets.add(key.get_access_key_id(), key.get_access_key_secret(), key.get_security_token() or None)


def _counted(census, kind, bucket_class, arguments):
    census.add(kind)
    return bucket_class(**arguments)


def _class_in_place_of(bucket_class, make):
    """A class with the original's constants, whose call is `make` with the arguments by name."""
    signature = inspect.signature(bucket_class.__init__)

    class InPlace(bucket_class):
        def __new__(cls, *args, **kwargs):
            given = signature.bind(None, *args, **kwargs).arguments
            return make({name: value for name, value in given.items() if name != 'self'})

        def __init__(self, *args, **kwargs):
            """Not called again for what `make` returned unless it is an InPlace, which it never is."""

    return InPlace
