"""``civic audit fsck | erase | rotate-vault | epoch`` for who keeps the log, and ``civic witness`` for who watches it.

All but the last touch the home directory and need the service stopped (fsck does not). A witness touches only its
own directory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.command import command
from api.cli.failures import FAILED
from api.cli.language import say
from api.cli.lost_acts import lost_act_words
from api.cli.options import Home, Host, Port
from api.cli.output import Said, facts, note, sentence, table
from api.cli.screen import json_out

State = Annotated[Path, typer.Option("--state", help=say("The witness's directory.", "见证方目录。"))]


def register_keeping(group: typer.Typer) -> None:
    """Add fsck, erase, rotate-vault, publish and epoch to ``civic audit``."""
    command(
        group,
        "fsck",
        "Check the stored log from end to end and hash every data file, for their keeper.",
        "由保管方自查整个日志存储，并对全部数据文件重新计算哈希。",
    )(fsck)
    command(
        group,
        "erase",
        "Erase what the log holds in the clear about one person; every proof still holds. Service stopped.",
        "删除日志中关于某人的明文披露；所有证明仍然成立。须先停止服务。",
    )(erase)
    command(
        group,
        "rotate-vault",
        "Wrap the keys of all openings under a new secret and destroy the old one; erase does it too. Service stopped.",
        "以新的保管密钥重新封装全部披露的密钥并销毁旧密钥；erase 亦会执行。须先停止服务。",
    )(rotate)
    command(
        group,
        "publish",
        "Write the log as static tiles for a web server, or as CSV or Parquet.",
        "将日志写为静态瓦片（供网站托管）、CSV 或 Parquet。",
    )(publish)
    command(
        group,
        "epoch",
        "Continue the log after a loss, by a NewEpoch act that the council signed. Service stopped.",
        "灾后依理事会签名的 NewEpoch 续接日志。须先停止服务。",
    )(epoch)


def publish(
    to: Annotated[Path, typer.Option("--to", help=say("Directory or file to write.", "写入的目录或文件。"))],
    form: Annotated[
        str, typer.Option("--form", help=say("tiles, csv or parquet.", "tiles、csv 或 parquet。"))
    ] = "tiles",
    home: Home = Path("city"),
) -> Said:
    from api.cli.failures import UsageError
    from api.homes import at_home, open_database
    from api.settings import Settings
    from ledger.audit.export import export_csv, export_parquet, export_tiles
    from ledger.audit.reading import LogReader

    writers: dict[str, Any] = {"tiles": export_tiles, "csv": export_csv, "parquet": export_parquet}
    if form not in writers:
        raise UsageError(say("tiles, csv or parquet", "tiles、csv 或 parquet"), hint="--form tiles")
    engine = open_database(*at_home(Settings.given(home=home)))
    try:
        log = LogReader(engine)
        writers[form](log, to)
        size = log.size
    finally:
        engine.dispose()
    return sentence(
        {"path": str(to), "form": form, "entries": size},
        say(f"{size} entries are written to {to}.", f"已将 {size} 条目写入 {to}。"),
    )


def register_witness(app: typer.Typer) -> None:
    """Add ``civic witness``."""
    group = typer.Typer(
        help=say("Watch another's log: cosign what extends what was seen.", "见证日志：仅对延续所见者联署。"),
        no_args_is_help=True,
    )
    app.add_typer(group, name="witness")
    command(
        group,
        "init",
        "Make a witness's key and name the logs it watches.",
        "建立见证密钥并指定所见证的日志。",
    )(witness_init)
    command(
        group, "serve", "Answer cosigning requests over HTTP (C2SP tlog-witness).", "通过 HTTP 应答联署请求。"
    )(witness_serve)


def fsck(home: Home = Path("city")) -> Said:
    from dataclasses import replace

    from api.acts.aftermath import held_acts
    from api.homes import at_home, open_database
    from api.installation import log_key_of
    from api.settings import Settings
    from api.stored_files import check_files, count_files
    from api.wiring import open_chain
    from ledger.audit.fsck import fsck as check
    from ledger.audit.reading import LogReader
    from ledger.chain.contracts import Deployment
    from ledger.consistency import check_tables
    from ledger.errors import LedgerError
    from ledger.store.engine import reader

    found, settings = at_home(Settings.given(home=home))
    keys = [log_key_of(replace(found, epoch=number)) for number in range(1, found.epoch + 1)]
    engine = open_database(found, settings)
    try:
        log = LogReader(engine)
        report = check(log, keys=keys, vault=_vault(found, settings), openings=True)
        head = None if any(one.code == "fsck.state" for one in report.damage) else log.state().head
        files = count_files(found.data)
        with reader(engine).connect() as connection:
            try:
                for one in check_files(connection, found.data):
                    report.add(one.code, one.message)
            except (LedgerError, ValueError, LookupError) as malformed:
                report.add("fsck.source", f"the data files were not checked: {malformed}")
            try:
                with open_chain(found, settings, reading=True) as chain:
                    for one in check_tables(connection, log, chain, Deployment.from_json(found.deployment)):
                        report.add(one.code, one.message)
            except LedgerError as stopped:
                report.add(
                    "fsck.chain", f"the tables were not compared with chain and log: {stopped.message}"
                )
            held = held_acts(connection)
    finally:
        engine.dispose()
    damage = [{"code": one.code, "message": one.message, "entry": one.entry} for one in report.damage]
    document = {
        "ok": report.ok,
        "entries": report.entries,
        "tiles": report.tiles,
        "files": files,
        "head": None if head is None else {"size": head.size, "root": "0x" + head.root.hex()},
        "damage": damage,
        "held": held,
    }
    for act in held:
        note(lost_act_words(act))
    if report.ok:
        words = say(
            f"{report.entries} entries and {report.tiles} tiles agree with each other and with the signed head; "
            f"{files} data files are the ones that were signed; what the service keeps beside is what chain and log say.",
            f"{report.entries} 条目与 {report.tiles} 个瓦片彼此一致，并与签名的日志头一致；{files} 个数据文件与签名内容一致；"
            "服务另存的数据与链上及日志记录一致。",
        )
        return sentence(document, words)
    said = table(
        document,
        say("Damage", "损坏"),
        [say("entry", "条目"), say("code", "代码"), say("what", "说明")],
        [[one["entry"], one["code"], one["message"]] for one in damage],
    )
    return Said(document, said.show, FAILED)


def _vault(home: Any, settings: Any) -> Any:
    """What opens the openings; None without the passphrase: then they are counted and not opened."""
    from api.sdk.errors import ClientError
    from api.settings import read_passphrase
    from api.vault import read_vault
    from ledger.errors import LedgerError

    try:
        return read_vault(home.keys / "vault.json", read_passphrase(settings)).openings()
    except (LedgerError, ClientError, OSError):
        note(
            say(
                "The key of the openings is not at hand: they are counted, and not opened.",
                "未取得披露密钥：仅核对披露数量，不予开启。",
            )
        )
        return None


def erase(
    asset: Annotated[str, typer.Option(help=say("Dataset, such as 7.1.", "数据集，例如 7.1。"))],
    subject: Annotated[
        str, typer.Option(help=say("The person's key in that dataset.", "该数据集中的个人标识。"))
    ],
    officer: Annotated[
        str, typer.Option(help=say("Address of the officer who ordered it.", "下令人员的地址。"))
    ],
    home: Home = Path("city"),
) -> Said:
    from api.acts.persons import subject_names_at
    from api.settings import Settings
    from api.vault import finish_rotation, request_rotation
    from api.wiring import open_gateway
    from ledger.audit.erasure import erase_subject
    from ledger.ids import parse_asset

    settings = Settings.given(home=home)
    try:
        with open_gateway(settings, chores=False) as gateway:
            with gateway.reading.connect() as connection:
                names = subject_names_at(connection, parse_asset(asset), subject)
            request_rotation(gateway.home)
            done = erase_subject(
                gateway.writer, gateway.engine, gateway.vault, *names, officer=officer, at=gateway.now()
            )
            receipt = str(done.receipts[0])
    finally:
        finish_rotation(settings)
    document = {"erased": done.value, "receipt": receipt}
    return sentence(
        document,
        say(
            f"{done.value} openings are gone; the entries and their proofs stand. Decisions about them: not replayable.",
            f"已删除 {done.value} 份披露；条目与证明不变。相关决定不可重演。",
        ),
    )


def rotate(
    forget: Annotated[
        bool,
        typer.Option(
            "--forget",
            help=say(
                "After an older database was put back: delete the openings that the present secret does not open.",
                "恢复较旧的数据库之后：删除现有保管密钥打不开的披露。",
            ),
        ),
    ] = False,
    home: Home = Path("city"),
) -> Said:
    from api.settings import Settings
    from api.vault import rotate_vault

    gone = rotate_vault(Settings.given(home=home), forget=forget)
    return sentence(
        {"rotated": True, "forgotten": gone},
        say(
            "The vault has a new secret; the old one is destroyed here. Back up the home and the database together now.",
            "保管密钥已更换，此处的旧密钥已销毁。请立即一并备份安装目录与数据库。",
        ),
    )


def epoch(
    act: Annotated[
        Path, typer.Option("--act", help=say("The signed NewEpoch act file.", "已签名的 NewEpoch 文件。"))
    ],
    lost: Annotated[
        str,
        typer.Option(
            "--lost",
            metavar="BUNDLE|none",
            help=say(
                "A bundle that somebody took after the backup: the uses in it are counted again, and what its acts took"
                " away stays away. The word none: nobody has one.",
                "备份之后他人取得的导出包：其中的使用次数重新计入，其中行为所终止的授权等继续停用。none 表示无人持有。",
            ),
        ),
    ],
    home: Home = Path("city"),
) -> Said:
    from api.acts.new_epoch import begin_epoch
    from api.cli.json_input import read_object
    from api.settings import Settings

    document = read_object(act, "ACT")
    document.pop("request", None)
    made = begin_epoch(Settings.given(home=home), document, None if lost == "none" else Path(lost))
    _say_what_was_lost(made)
    if made["uncounted"]:
        note(
            say(
                f"{made['uncounted']} lost entries are in nobody's bundle here: uses in them count only as far as the"
                " chain has them on record, and what officers took away in them is in force again. Subjects erased after"
                " the backup must be erased again.",
                f"有 {made['uncounted']} 个丢失的条目未见于所给导出包：其中的使用仅按链上记录计入，其中撤销、移除或暂停的内容重新生效。"
                "备份之后删除过的个人披露须再次删除。",
            )
        )
    plain = {
        name: value for name, value in made.items() if name not in ("acts", "erase_again", "alive_again")
    }
    return facts(made, say("The log goes on under a new origin.", "日志以新来源续接。"), plain.items())


def _say_what_was_lost(made: dict[str, Any]) -> None:
    alive = made.get("alive_again")
    if alive is not None:
        note(
            say(
                f"Nobody's copy of the lost entries was given. {alive['grants']} grants, {alive['service_keys']} service"
                f" keys and {alive['seats']} seats stand as they stood at {alive['since']}: what was revoked, removed or"
                " suspended after that is in force again. Ask every department to sign those acts again.",
                f"未提供任何丢失条目的副本。{alive['grants']} 项授权、{alive['service_keys']} 个服务密钥、{alive['seats']} 个职位"
                f"恢复为 {alive['since']} 时的状态：此后撤销、移除或暂停的内容重新生效。请各部门重新签署这些行为。",
            )
        )
    for one in made["acts"]:
        note(lost_act_words(one))
    for one in made["erase_again"]:
        note(
            say(
                f"lost: an erasure of {one['time']}, ordered by {one['officer']}: erase the person again before serving",
                f"丢失：{one['time']} 由 {one['officer']} 下令的删除：启动服务前须再次删除",
            )
        )


def witness_init(
    state: State,
    trust: Annotated[
        list[Path],
        typer.Option(help=say("Trust file of a log to watch (repeat).", "所见证日志的信任文件（可重复）。")),
    ],
    name: Annotated[
        str,
        typer.Option(
            help=say(
                "The witness's name, such as audit.city.example.", "见证方名称，例如 audit.city.example。"
            )
        ),
    ],
    passphrase_file: Annotated[
        Path | None, typer.Option(help=say("File with the key's passphrase.", "密钥口令文件。"))
    ] = None,
) -> Said:
    from api.witness import create_witness

    made = create_witness(state, trust, name, _passphrase(passphrase_file, state))
    return facts(
        made,
        say("The witness is ready; its key goes into trust files.", "见证方已就绪；其公钥写入信任文件。"),
        made.items(),
    )


def witness_serve(
    state: State,
    host: Host = None,
    port: Port = None,
    passphrase_file: Annotated[
        Path | None, typer.Option(help=say("File with the key's passphrase.", "密钥口令文件。"))
    ] = None,
) -> Said:
    from api.settings import Settings
    from api.witness import serve_witness

    settings = Settings.given(home=state, host=host, port=port)

    def announce(made: dict[str, Any]) -> None:
        json_out(made)

    note(say("Serving; stop with Ctrl-C.", "正在服务；按 Ctrl-C 停止。"))
    passphrase = _passphrase(passphrase_file, state)
    serve_witness(state, passphrase, settings.host, settings.port_or(8700), announce)
    return sentence({"stopped": True}, say("Stopped.", "已停止。"))


def _passphrase(file: Path | None, state: Path) -> str:
    from api.settings import Settings, read_passphrase

    return read_passphrase(Settings.given(home=state, passphrase_file=file))
