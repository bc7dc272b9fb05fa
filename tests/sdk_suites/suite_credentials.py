"""Managed credentials without a network: secrets in memory in the place of Secrets Manager."""
import json
import threading

from aliyunsdkcore.acs_exception.exceptions import ServerException


class SecretsInMemory(object):
    """Secrets by name, each a managed RAM credential."""

    def __init__(self):
        self._lock = threading.Lock()
        self._keys = {}

    def add(self, access_key_id, access_key_secret, security_token=None):
        """Puts a key into a secret of its own, and returns the secret's name."""
        name = 'suite/' + access_key_id
        with self._lock:
            self._keys[name] = (access_key_id, access_key_secret, security_token)
        return name

    def get_secret_value(self, secret_name):
        """The fields of GetSecretValue's answer."""
        with self._lock:
            if secret_name not in self._keys:
                raise ServerException('Forbidden.ResourceNotFound', 'Resource not found.', 404)
            key_id, key_secret, token = self._keys[secret_name]
        data = {'AccessKeyId': key_id, 'AccessKeySecret': key_secret}
        if token:
            data['SecurityToken'] = token
        return {'SecretName': secret_name, 'SecretType': 'RAMCredentials', 'VersionId': 'v1', 'SecretData': json.dumps(data)}


def facade_of(secrets):
    """A ManagedCredentials that reads its secrets from memory."""

    from aliyun_sdk_secretsmanager_common_plugin.access_key import parse_secret
    from aliyun_sdk_secretsmanager_common_plugin.managed_credentials import ManagedCredentials
    from aliyun_sdk_secretsmanager_common_plugin.settings import Settings

    def fetch(secret_name, seconds):
        return parse_secret(secret_name, secrets.get_secret_value(secret_name))

    return ManagedCredentials(Settings(), fetch=fetch)
