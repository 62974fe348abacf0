"""A durable chain in the same process: py-evm over SQLite, for a city without its own network."""

from ledger.chain.embedded.chain import EmbeddedChain, random_chain_id
from ledger.clock import SimulatedClock, WallClock

__all__ = ["EmbeddedChain", "SimulatedClock", "WallClock", "random_chain_id"]
