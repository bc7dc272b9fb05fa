"""The actions of STS, and the methods that answer them."""

VERSION = "2015-04-01"

# This action is not signed, since its OIDC token shows who calls.
UNSIGNED = "AssumeRoleWithOIDC"

ACTIONS = {"AssumeRole": "assume_role", UNSIGNED: "assume_role_with_oidc"}
