"""What is registered about an asset beside its data."""
