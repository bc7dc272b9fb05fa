"""The published signature schemes, one in each file, which read from a request who signed it."""
