"""Reads what a program shows on a terminal."""

import os


def rest_of(terminal):
    """Return what comes until the other end is closed."""
    rest = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # on Linux this means that the other end is closed
            return rest
        if not piece:
            return rest
        rest += piece
