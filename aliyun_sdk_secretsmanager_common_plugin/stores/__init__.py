"""Where keys are kept beyond this process: the cache file, and the store that processes share."""
