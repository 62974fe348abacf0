"""The catalogue: metadata of assets."""
