"""Which actions STS has, and the methods that answer them."""

VERSION = "2015-04-01"

# Nobody signs it: the token says who asks.
UNSIGNED = "AssumeRoleWithOIDC"

ACTIONS = {"AssumeRole": "assume_role", UNSIGNED: "assume_role_with_oidc"}
