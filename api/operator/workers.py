"""Makes the workers of a service from the installation and its settings."""

from __future__ import annotations

from api.operator.foundation import Foundation
from api.runtime.status import Workers
from api.runtime.upkeep import Retention, Upkeep, stamper_of
from ledger.audit.outside.anchor import Anchorer, Cadence
from ledger.grants.use_recorder import UseRecorder
from ledger.outbox import ActNotifier, Relayer
from ledger.projection.follower import Follower

POLL_S = 0.1
"""The interval between two checks of the outbox and of the chain, in seconds."""


class AnchoringNotifier(ActNotifier):
    """Also notifies the anchorer, so that a governance act is anchored within a second."""

    anchorer: Anchorer | None = None

    def announce(self) -> None:
        super().announce()
        if self.anchorer is not None:
            self.anchorer.governance_act()


def workers_of(base: Foundation, retention: Retention) -> Workers:
    """The workers, not started."""
    settings, time = base.settings, base.clock
    notifier = AnchoringNotifier(base.engine)
    depth = settings.confirmations if settings.rpc_url else 0
    longest = float(settings.chain_outage_s)
    relayer = Relayer(
        base.writer,
        base.engine,
        base.chain,
        base.deployment,
        base.secrets.relayer,
        notifier=notifier,
        most_fee=base.most_fee,
        poll_s=POLL_S,
        clock=time,
        confirmations=depth,
        reached=base.reached,
        still_after_s=longest,
    )
    follower = Follower(
        base.writer,
        base.engine,
        base.chain,
        base.deployment,
        notifier=notifier,
        poll_s=POLL_S,
        clock=time,
        confirmations=depth,
        reached=base.reached,
        still_after_s=longest,
    )
    anchorer = Anchorer(
        base.log,
        base.anchor,
        Cadence(float(settings.anchor_every_s), settings.anchor_every_entries, outage_s=longest),
        clock=time.elapsed,
        cosign=base.cosign,
        still_after_s=longest,
    )
    notifier.anchorer = anchorer
    recorder = UseRecorder(
        base.writer,
        base.engine,
        base.log,
        base.chain,
        base.deployment,
        relayer,
        base.secrets.attest,
        every_s=float(settings.record_use_every_s),
        clock=time,
        reached=base.reached,
        still_after_s=longest,
    )
    stamper = stamper_of(base.log, settings, base.cosign)
    upkeep = Upkeep(base.log, base.writer, settings, retention, base.home.data, stamper, time, base.cosign)
    return Workers(follower, relayer, anchorer, recorder, upkeep)
