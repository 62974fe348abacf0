"""Access to the chain: the client interface, the embedded chain, nodes over JSON-RPC, and the contracts' messages, calls
and events."""
