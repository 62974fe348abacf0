"""Codes of the chain and of its nodes."""

from __future__ import annotations

from collections.abc import Mapping

from api.advice.advice import Advice as _A

CHAIN: Mapping[str, _A] = {
    "chain.call_too_costly": _A(
        503, "A call of the chain costs more than one caller may have", "ask for less at once"
    ),
    "chain.clock_drift": _A(
        503,
        "The machine's clock is in doubt, or behind the newest block",
        "the operator sets the clock, or states the time (docs/clocks.md)",
    ),
    "chain.corrupt": _A(
        503, "The chain's file is damaged", "stop the service and restore the home from its backup"
    ),
    "chain.deployment": _A(
        503,
        "A contract could not be deployed",
        "check the node, its fees and the deployer's balance; then try again",
    ),
    "chain.exists": _A(
        503, "There is a chain at this place already", "choose another place, or use the chain that is there"
    ),
    "chain.fault": _A(
        503,
        "The node answered with an error of its own",
        "read the node's log; name another node with CIVIC_RPC_URL",
    ),
    "chain.fee_ceiling": _A(
        503,
        "The chain asks for a higher fee than the operator allows",
        "wait, or raise CIVIC_MOST_FEE_GWEI: what waits stays in its order",
    ),
    "chain.fee_too_low": _A(
        503, "The node asks for a higher fee", "nothing: the service raises the fee under the same number"
    ),
    "chain.invalid_transaction": _A(
        503,
        "The bytes are no signed transaction of this chain",
        "sign the transaction for this chain's number",
    ),
    "chain.locked": _A(
        503, "Another process has this chain open", "stop the other process, or ask it over HTTP"
    ),
    "chain.missing": _A(
        503, "There is no chain at this place", "check the place, or make an installation: civic init"
    ),
    "chain.replaced": _A(
        503,
        "The chain is another one under the same number",
        "do not go on: ask who runs the chain, and keep what the log holds",
    ),
    "chain.reverted": _A(503, "A contract refused the call", "see the contract's error in the detail"),
    "chain.rpc": _A(
        503, "The node answered the request with an error", "see the node's message; check CIVIC_RPC_URL"
    ),
    "chain.storage_failed": _A(
        503,
        "The chain's file cannot be written or read",
        "make room on the disk, or mount it again; then start the service",
    ),
    "chain.transaction_pending": _A(
        503, "The transaction is not in a block yet", "ask again later: it may still be taken"
    ),
    "chain.transaction_refused": _A(
        503,
        "The chain will never take this transaction",
        "see the detail: a used number, no balance, or too much gas",
    ),
    "chain.unknown_block": _A(
        503, "There is no such block", "check the number; a node that is behind has it later"
    ),
    "chain.unknown_event": _A(
        503,
        "A contract at our address speaks another language",
        "check CIVIC_RPC_URL and the trust file: other contracts stand at these addresses",
    ),
    "chain.unproven": _A(
        503,
        "What the node says of a block does not add up to its hash",
        "name another node with CIVIC_RPC_URL: this one leaves something out or makes it up",
    ),
    "chain.unreachable": _A(
        503, "No node answers in time", "try again later; the operator checks the node and CIVIC_RPC_URL"
    ),
    "chain.went_back": _A(
        503,
        "The chain's newest block is older than one that was read",
        "try again later: the node is behind; if the chain was restored from a backup and makes no blocks of its own, who runs the service says so: civic chain restored",
    ),
    "chain.not_restored": _A(
        409,
        "The chain does not end with an older block, or not with this one",
        "look at it again: civic chain restored without --block says with which block it ends",
    ),
    "chain.wrong_chain": _A(
        503, "The node serves another chain", "set CIVIC_RPC_URL to a node of the chain in the trust file"
    ),
}
