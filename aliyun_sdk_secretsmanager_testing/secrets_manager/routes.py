"""The actions of Secrets Manager, and the methods that answer them."""

VERSION = "2016-01-20"

ACTIONS = {"GetSecretValue": "get_secret_value"}
