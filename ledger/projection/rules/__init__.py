"""The rules of `ledger.projection.apply`, one module for each group of events."""
