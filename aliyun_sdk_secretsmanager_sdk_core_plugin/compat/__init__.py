"""What the existing plugin has besides the client: its class methods, and updaters of plain clients."""
