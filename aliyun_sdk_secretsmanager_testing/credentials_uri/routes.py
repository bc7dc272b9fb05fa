"""The path of the credentials."""

PATH = "/credentials"
