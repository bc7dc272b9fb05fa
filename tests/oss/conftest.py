"""Buckets for the local cloud."""

import oss2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


@pytest.fixture
def bucket(make_bucket):
    return make_bucket()


@pytest.fixture(scope="session")
def crypto_provider(tmp_path_factory):
    """A provider with a key pair. oss2 would make a new pair in each directory, which takes a second."""
    keys = tmp_path_factory.mktemp("keys")
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (keys / ".private_key.pem").write_bytes(private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()))
    (keys / ".public_key.pem").write_bytes(private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return oss2.LocalRsaProvider(dir=str(keys))
