"""A client of both kinds of gateways that reads a client key from its file."""
import base64
import email.utils
import hashlib
import json

import requests
from aliyunsdkcore.auth.algorithm import sha_hmac256
from aliyunsdkcore.client import AcsClient
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import pkcs12

from .sdk_requests import get_secret_value

PASSWORD = "p#ssw=ord é"

TEXT, TEXTS, NUMBER, FLAG = (9, 1), (9, 3), (5, 1), (8, 1)  # type and label of a FieldDescriptorProto

MESSAGES = {
    "GetSecretValueRequest": [("SecretName", TEXT), ("VersionStage", TEXT), ("VersionId", TEXT),
                              ("FetchExtendedConfig", FLAG)],
    "GetSecretValueResponse": [
        ("SecretName", TEXT), ("SecretType", TEXT), ("SecretData", TEXT), ("SecretDataType", TEXT),
        ("VersionStages", TEXTS), ("VersionId", TEXT), ("CreateTime", TEXT), ("RequestId", TEXT),
        ("LastRotationDate", TEXT), ("NextRotationDate", TEXT), ("ExtendedConfig", TEXT), ("AutomaticRotation", TEXT),
        ("RotationInterval", TEXT)],
    "Error": [("StatusCode", NUMBER), ("ErrorCode", TEXT), ("ErrorMessage", TEXT), ("RequestId", TEXT)],
}


def message(name, **values):
    """Return a message of a dedicated gateway, made by the ``protobuf`` package."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    file = descriptor_pb2.FileDescriptorProto(name="dkms.proto", syntax="proto3")
    for its_name, fields in MESSAGES.items():
        described = file.message_type.add(name=its_name)
        for number, (field, (kind, label)) in enumerate(fields, 1):
            described.field.add(name=field, number=number, type=kind, label=label)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    descriptor = pool.FindMessageTypeByName(name)
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)(**values)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)(**values)


class Signer:
    """Signs with a client key.

    Args:
        file: the ``ClientKeyFile``.
    """

    def __init__(self, file, password=PASSWORD):
        with open(file.path, encoding="utf-8") as opened:
            document = json.load(opened)
        self.key_id = document["KeyId"]
        self.private_key, self.certificate, _ = pkcs12.load_key_and_certificates(
            base64.b64decode(document["PrivateKeyData"]), password.encode("utf-8"))

    def client(self, cloud):
        """Return an AcsClient whose requests must have ``sha_hmac256`` as their signer."""
        der = self.private_key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                                             serialization.NoEncryption())
        return AcsClient(self.key_id, base64.b64encode(der).decode("ascii"), "cn-hangzhou", auto_retry=False,
                         verify=cloud.ca_file)

    def sign(self, text):
        raw = self.private_key.sign(text.encode("latin-1"), padding.PKCS1v15(), hashes.SHA256())
        return base64.b64encode(raw).decode("ascii")

    def headers(self, body, now, path="/", **changed):
        """Return the headers of a request to a dedicated gateway.

        Args:
            now: seconds since 1970.
            changed: headers that differ, with ``_`` for ``-``; they are signed as they are.
        """
        headers = {
            "accept": "application/x-protobuf",
            "content-type": "application/x-protobuf",
            "content-sha256": hashlib.sha256(body).hexdigest().upper(),
            "date": email.utils.formatdate(now, usegmt=True),
            "x-kms-apiversion": "dkms-gcs-0.2",
            "x-kms-apiname": "GetSecretValue",
            "x-kms-signaturemethod": "RSA_PKCS1_SHA_256",
            "x-kms-acccesskeyid": self.key_id,
        }
        headers.update((name.replace("_", "-"), value) for name, value in changed.items())
        text = "POST\n{content-sha256}\n{content-type}\n{date}\n".format(**headers)
        text += "".join("{}:{}\n".format(name, headers[name]) for name in sorted(headers) if name.startswith("x-kms-"))
        return dict(headers, authorization="Bearer " + self.sign(text + path))


def shared_request(cloud, name="app/key"):
    """Return a GetSecretValue request for a shared gateway, signed with a client key."""
    request = get_secret_value(cloud.gateway_endpoint(), name)
    request._signer = sha_hmac256
    return request


def post(cloud, body, headers, path="/", instance=None):
    """Send a request to a dedicated gateway, and return status and message of the answer."""
    response = requests.post("https://{}{}".format(cloud.dedicated_endpoint(instance), path), data=body,
                             headers=headers, verify=cloud.ca_file, timeout=30)
    assert response.headers["Content-Type"] == "application/x-protobuf"
    parsed = message("GetSecretValueResponse" if response.status_code == 200 else "Error")
    parsed.ParseFromString(response.content)
    return response.status_code, parsed
