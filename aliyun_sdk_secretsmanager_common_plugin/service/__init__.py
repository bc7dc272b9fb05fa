"""Old module paths; see the modules of the package itself."""
