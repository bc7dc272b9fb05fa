"""STS 2015-04-01: ``AssumeRole`` and ``AssumeRoleWithOIDC``, and the roles that there are."""
