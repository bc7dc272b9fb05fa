"""What a credentials URI gives out."""


class Source:
    """Where temporary credentials come from.

    Attributes:
        role: name of the role whose they are.
        expires_in: seconds until they end.
    """

    def __init__(self, role: str) -> None:
        self.role = role
        self.expires_in = 3600.0
