"""The settings of a credentials URI."""


class Source:
    """The settings of the temporary credentials.

    Attributes:
        role: the name of their role.
        expires_in: seconds until they expire.
    """

    def __init__(self, role: str) -> None:
        self.role = role
        self.expires_in = 3600.0
