"""The controls of a local cloud over HTTP, JSON in and out, for programs in other processes and languages."""
