"""OSS, in path style: ``/bucket/key``."""
