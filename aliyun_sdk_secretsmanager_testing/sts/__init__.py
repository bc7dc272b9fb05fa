"""STS 2015-04-01, with ``AssumeRole`` and ``AssumeRoleWithOIDC``, and the roles."""
