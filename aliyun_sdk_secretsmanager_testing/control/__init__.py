"""The controls of a local cloud over HTTP, with JSON bodies, for programs in other processes and languages."""
