"""Acts that were accepted, not mined, and lost with the newest part of the log: they deny after the recovery too,
and those that the chain still accepts are sent again from the bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

from sqlalchemy import create_engine

from api.demo.city import found_city, wait_for_anchor
from api.demo.governing import admit, register, share
from api.demo.participants import AUDIT, EDUCATION, HEALTH, PASSPHRASE, PLANNING
from api.demo.process import ServiceProcess
from api.protocol.keystore import import_secp256k1
from api.protocol.trust import Trust
from api.sdk.acts import sign_act
from api.sdk.drafts import (
    draft_revocation,
    draft_service_key_removal,
    draft_suspension,
    submit,
)
from tests.e2e.test_acts_after_a_restore import BACKED_UP, civic, epoch_act, restore
from tests.e2e.test_taken_acts import RELAYER_KEY, HeldCity, until
from tests.simulators.city import reconnect, silent
from tests.simulators.held_node import held_node


def test_lost_accepted_acts_are_sent_again_or_keep_denying(tmp_path: Path) -> None:
    with held_node(tmp_path, RELAYER_KEY) as (chain, node):
        key = import_secp256k1(tmp_path / "relayer.json", "relayer", RELAYER_KEY, PASSPHRASE, demo=True).path
        home = tmp_path / "city"
        city = found_city(home, node, key)
        held = HeldCity(city, chain, create_engine(f"sqlite:///{home / 'ledger.sqlite'}"))
        try:
            for chapter in (admit, register, share):
                chapter(silent(), city)
            kept = wait_for_anchor(city, 30)
            assert kept is not None
            city.service.stop()
            saved = Path(shutil.copytree(home, tmp_path / "saved", ignore=BACKED_UP))
            city.service = ServiceProcess(home)
            reconnect(city)
            owner = held.owner("air_quality")
            chain.holding = True
            revocation = sign_act(
                draft_revocation(city.grants["air-planning"]), city.trust, [owner.secrets["steward"]]
            )
            submit(owner.civic, revocation, wait_s=0.0)
            held.hand_in(owner, draft_suspension(city.assets["weather"], "a test"))
            key = city.of(EDUCATION).service.public
            removal = draft_service_key_removal(EDUCATION.number, key, epoch=1)
            held.hand_in(city.of(EDUCATION), removal, "admin")
            held.run("DELETE FROM outbox_act WHERE type = 'RemoveServiceKey'")  # It is in no bundle.
            assert held.refused(PLANNING, "air_quality", "air-planning") == ["grant.revoked"]
            city.of(AUDIT).civic.export(tmp_path / "bundle.tar")
            city.service.stop()
            restore(saved, home)
            chain.holding = False
            act = epoch_act(city, kept, tmp_path / "epoch.json")
            made = civic("audit", "epoch", "--home", home, "--act", act, "--lost", tmp_path / "bundle.tar")
            told = {
                one["message"]: (one["denies"], one["state"], one.get("why")) for one in made["undecided"]
            }
            assert told == {
                "Revoke": ([f"grant:{city.grants['air-planning']}"], "sent-again", None),
                "SuspendAsset": ([f"asset:{city.assets['weather']}"], "sent-again", None),
                "RemoveServiceKey": ([f"key:{EDUCATION.number}:0x{key}"], "waiting", "act.not-in-bundle"),
            }
            city.trust = Trust.read(home / "trust.json")
            city.service = ServiceProcess(home)
            reconnect(city)
            assert held.refused(PLANNING, "air_quality", "air-planning") == ["grant.revoked"]
            assert held.refused(HEALTH, "air_quality", "air-health") == []
            assert held.refused(EDUCATION, "air_quality", "air-education") == ["signature.unknown-key"]
            auditor = city.of(AUDIT).civic
            until(lambda: auditor.grant(city.grants["air-planning"])["status"] == "revoked")
            until(lambda: auditor.dataset(city.assets["weather"])["status"] == "suspended")
            until(lambda: auditor.status()["work"]["acts"] == "act.undeliverable")
            assert submit(owner.civic, revocation, wait_s=20.0)["state"] == "recorded", "it is one act"
            held.hand_in(city.of(EDUCATION), removal, "admin")
            until(lambda: auditor.status()["work"]["acts"] is None)
        finally:
            city.service.stop()
            held.engine.dispose()
