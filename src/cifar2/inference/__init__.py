"""A trained network in use: its file, its device, its answers."""
