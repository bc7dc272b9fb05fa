"""Any RPC or ROA business API, and the location service beside it."""
