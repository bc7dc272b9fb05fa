"""The operations of a dedicated gateway, and the methods that answer them."""

VERSION = "dkms-gcs-0.2"

OPERATIONS = {"GetSecretValue": "get_secret_value"}
