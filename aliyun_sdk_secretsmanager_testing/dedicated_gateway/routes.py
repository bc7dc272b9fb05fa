"""Which operations a dedicated gateway has, and the methods that answer them."""

VERSION = "dkms-gcs-0.2"

OPERATIONS = {"GetSecretValue": "get_secret_value"}
