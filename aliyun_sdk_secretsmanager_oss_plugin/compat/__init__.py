"""What the existing plugin has besides the client: its class methods, an exchangeable auth, and updaters."""
