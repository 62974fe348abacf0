"""A durable chain inside the program: py-evm over SQLite, for a city that runs no network of its own."""

from ledger.chain.embedded.chain import EmbeddedChain, random_chain_id
from ledger.clock import SimulatedClock, WallClock

__all__ = ["EmbeddedChain", "SimulatedClock", "WallClock", "random_chain_id"]
