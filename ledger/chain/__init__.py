"""The chain as the ledger uses it: one client interface, the embedded chain, any node over JSON-RPC, and the
contracts' messages, calls and events."""
