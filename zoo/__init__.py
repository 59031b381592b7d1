"""Train every variant of `params.yaml`, several at once, and keep the results when code changes."""
