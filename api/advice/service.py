"""Codes of the service itself: its log, its stores, its chain and its clock."""

from __future__ import annotations

from collections.abc import Mapping

from api.advice.advice import Advice as _A

SERVICE: Mapping[str, _A] = {
    # the log and the store
    "audit": _A(
        500, "The audit log reports an error", "tell the operator; keep what you received as evidence"
    ),
    "audit.rollback": _A(
        503,
        "The service was restored from an older state",
        "tell the operator: restore the newest state, or continue the log in a new epoch",
    ),
    "audit.cursor": _A(400, "The cursor is not valid", "start again without a cursor"),
    "audit.anchor_unavailable": _A(
        503, "The chain is out of reach", "check CIVIC_RPC_URL and the node; try again later"
    ),
    "audit.no_entry": _A(404, "The log has no such entry", "check the number of the entry"),
    **{
        code: _A(503, "The audit log cannot take entries", "try again later; nothing was released")
        for code in ("audit.log_unavailable", "audit.log_closed")
    },
    **{
        prefix: _A(500, "The service's own state is inconsistent", "tell the operator")
        for prefix in ("ledger", "projection", "store")
    },
    "service.not-ready": _A(
        503,
        "The service cannot decide and log calls now",
        "the reasons are named by their codes; who runs the service looks them up in docs/operations.md",
    ),
    "projection.behind": _A(
        503,
        "The service has not read the chain to its end for too long",
        "tell the operator: nothing is released until the chain is read again; civic status says what keeps the service from it",
    ),
    "store.older": _A(
        503,
        "The database is of an earlier version",
        "who runs the service stops it, takes a backup and runs: civic upgrade",
    ),
    "store.newer": _A(
        503,
        "The database is of a later version",
        "who runs the service uses the version of civic that upgraded it, or a later one",
    ),
    "store.unknown": _A(
        500,
        "The tables of the database are those of no version",
        "who runs the service restores the database from a backup; nothing was changed",
    ),
    "store.held": _A(
        503,
        "Another service has the database",
        "stop the other service; a database belongs to one home and one service",
    ),
    "store.linked": _A(
        503, "The database has a second name", "remove the hard link, or copy the file while no service runs"
    ),
    "store.exchanged": _A(
        503,
        "The database's file is not the one that was opened",
        "put the file back that was there, or stop the service before another is restored",
    ),
    "store.foreign-object": _A(
        503,
        "The database has objects that the service did not make",
        "try again later; who runs the service finds out who made them, removes them and runs civic audit fsck",
    ),
    "store.damaged": _A(
        500,
        "A row of the database is none that the service writes",
        "tell the operator: who runs the service finds out who changed it, and runs civic audit fsck",
    ),
    "store.unavailable": _A(
        503,
        "The database is out of reach",
        "try again shortly; who runs the service checks the database and CIVIC_DATABASE_URL",
    ),
    **{
        prefix: _A(500, "The installation or its settings are wrong", "tell the operator")
        for prefix in ("home", "retention", "settings")
    },
    # the service itself
    "contracts.first-edition": _A(
        409,
        "The contracts of this installation are of the first edition",
        "search and export its log here; acts and data need a new installation (civic init), where they are signed again: docs/upgrading.md",
    ),
    "chain": _A(503, "The chain is not available", "try again later; governance state can still be read"),
    "chain.nodes-disagree": _A(
        503,
        "The chain's nodes do not agree",
        "try again later; who runs the service looks at the nodes of CIVIC_RPC_URL: more than half must agree",
    ),
    "clock": _A(
        503,
        "The service's clock is in doubt",
        "tell the operator: nothing is released until the clock is right again; revocations are still accepted",
    ),
    "anchor": _A(
        503,
        "The log has not been anchored for too long",
        "tell the operator: nothing is released until the chain takes the log's head again",
    ),
    "log": _A(503, "The audit log cannot take entries", "try again later; nothing was released"),
    "scan": _A(
        500,
        "The data could not be read",
        "call again later, or tell the operator; nothing was released or charged, and the refusal is in the log",
    ),
    "scan.busy": _A(
        503,
        "Every scanning process is busy",
        "call again after the seconds of Retry-After; nothing was released or charged",
    ),
    "export.too-long": _A(
        503,
        "The log could not be exported in time",
        "ask again later; if it fails again, ask the operator for a longer time (CIVIC_EXPORT_TIMEOUT_S)",
    ),
    "service.busy": _A(503, "The service is busy", "try again in a second"),
    "service.resources": _A(
        503,
        "The service's disk is full or cannot be written",
        "try again later; who runs the service makes room on its disk",
    ),
    "service.stands-still": _A(
        500,
        "A part of the service has finished no round for too long",
        "who runs the service restarts it; civic status names the part, and the service's log says what it did last",
    ),
    "service.failed": _A(500, "The service failed", "tell the operator when it happened"),
    "release": _A(409, "The release cannot be served", "ask for the release record"),
    "backup.invalid": _A(
        500, "The backup's manifest cannot be used", "take another backup; nothing was restored"
    ),
    "backup.version": _A(
        500,
        "The backup is of another version",
        "restore it with the version of civic that made it, then upgrade",
    ),
    "backup.damaged": _A(
        500, "Files of the backup are not those of its manifest", "take another backup; nothing was restored"
    ),
    "backup.log": _A(
        500,
        "The log in the backup is damaged, or is not the stated one",
        "take another backup; nothing was restored",
    ),
    "backup.other-log": _A(
        500,
        "A signed head contradicts the log of the backup",
        "take another backup, and find out who wrote the other log",
    ),
    "backup.kept": _A(
        500,
        "The file has no head that this log signed",
        "give a checkpoint, a receipt or exported heads of this log",
    ),
    "backup.place": _A(500, "A backup cannot be kept there", "name a directory of its own on another disk"),
    "backup.busy": _A(500, "Another backup is being taken there", "wait for it"),
    "backup.failed": _A(
        500, "The backup could not be written", "make room and repeat it; the earlier backups are whole"
    ),
    "restore.failed": _A(
        500, "The home could not be written", "make room and repeat it; there is no home yet"
    ),
    "store.copy": _A(
        500,
        "A database could not be copied",
        "see whether its disk and the target's have room, and repeat it",
    ),
    "home.chain-older": _A(
        500, "The home's chain is older than its database", "restore chain and database of the same moment"
    ),
    "home.contradicted": _A(
        500,
        "A setting differs from what the home was made with",
        "give the setting that civic init recorded, or leave it out",
    ),
    "home.database-missing": _A(
        500,
        "There is no log where the home's log should be",
        "restore the database, or name the right one with CIVIC_DATABASE_URL",
    ),
    "home.database-unreachable": _A(
        500,
        "The home's database does not answer, or is damaged",
        "check CIVIC_DATABASE_URL and the database server",
    ),
    "home.exists": _A(
        500, "There is something where the home should be made", "choose another place with --home"
    ),
    "home.file": _A(
        500,
        "A file of the installation cannot be read or written",
        "give the home and the directory of the high-water mark to the user of the service",
    ),
    "home.locked": _A(500, "Another process serves this home", "ask that service, or stop it first"),
    "projection.broken": _A(
        500,
        "An event contradicts the projected rows",
        "the operator runs civic audit fsck, and civic chain rebuild",
    ),
    "projection.log-ahead": _A(
        500,
        "The log has events that the chain does not have",
        "start the service: it takes them back and holds what they took away; where the chain was restored: civic chain restored",
    ),
    "projection.cursor": _A(
        500, "Another process followed the chain meanwhile", "stop the other service of this database"
    ),
    "retention.file": _A(
        500,
        "A file whose time is over could not be deleted",
        "nothing: it is tried again; check the owner of the file",
    ),
    "settings.public-url": _A(
        500,
        "A service in production mode needs its public address",
        "set CIVIC_PUBLIC_URL, or listen on loopback (docs/settings.md)",
    ),
    "settings.timestamps": _A(
        500,
        "The timestamp service is not configured well enough",
        "give its address and its certificates (docs/settings.md)",
    ),
    "clock.ahead": _A(
        503,
        "The clock is far ahead of the newest block and entry",
        "the operator sets the clock, or says that it is right (docs/clocks.md)",
    ),
    "clock.not-as-stated": _A(
        503, "The clock is not at the time that was stated", "set the clock, or state the time again"
    ),
}
