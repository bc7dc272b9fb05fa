"""All RPC and ROA business APIs, and the location service (Location 2015-06-12)."""
