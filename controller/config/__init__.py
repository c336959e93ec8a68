"""modserve.toml: what a controller is told in a file."""
