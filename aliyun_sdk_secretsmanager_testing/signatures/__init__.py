"""The published signature schemes, one a file: each reads a request's claim of who signed it."""
