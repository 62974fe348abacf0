"""``civic dataset``: the catalogue, and how data enter it and leave it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.command import command, refuse_unused
from api.cli.failures import CommandError, UsageError
from api.cli.governing import Desk, Proposal, governing
from api.cli.json_input import listed, read_object
from api.cli.language import language, say
from api.cli.options import Asset, Limit, PassphraseFile, ProfileOption, ServiceKeyOption, department_number
from api.cli.output import Said, facts, note, table

OF_THE_ENTRY = (
    "classes", "person_key", "title_zh", "title_en", "description_zh", "description_en", "grade", "sharing",
    "update_cycle", "legal_basis", "licence",
)  # fmt: skip
"""Parameters of ``civic dataset register`` that a finished entry says by itself."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help=say("The catalogue of datasets.", "数据集目录。"), no_args_is_help=True)
    app.add_typer(group, name="dataset")
    command(group, "list", "The catalogue.", "列出目录。")(list_)
    command(group, "show", "One dataset with its columns.", "显示一个数据集及其字段。")(show)
    governing(
        group,
        "register",
        "Describe a file, sign its catalogue entry, record it, and hand the file in.",
        "描述文件、签署目录条目、入账并提交文件。",
    )(register_dataset)
    command(
        group,
        "source",
        "Digest and size of a dataset's file: for its holder, processor and operator, and for city-wide auditors.",
        "数据集文件的摘要与大小：仅供持有、加工、运营部门与市级审计员查看。",
    )(source)
    command(
        group,
        "upload",
        "Hand in the file that the catalogue entry names by its SHA-256.",
        "提交目录条目以 SHA-256 指明的文件。",
    )(upload)
    governing(group, "suspend", "Stop every use of a dataset, at once.", "立即中止数据集的一切使用。")(
        suspend
    )
    governing(group, "lift", "Let a suspended dataset go on.", "恢复被中止的数据集。")(lift)
    governing(
        group,
        "retire",
        "Take a dataset out for ever: signed by the quorum of its grade.",
        "永久停用数据集：按级别会签。",
    )(retire)


def list_(
    department: Annotated[
        int | None,
        typer.Option(
            parser=department_number,
            metavar="NUMBER",
            help=say("Only this department's.", "仅此部门。"),
            show_default=False,
        ),
    ] = None,
    limit: Limit = 200,
    profile: ProfileOption = None,
) -> Said:
    from itertools import islice

    from api.cli.profile import read_profile

    filters: dict[str, str | int] = {} if department is None else {"department": department}
    with read_profile(profile).public() as civic:
        found = list(islice(civic.datasets(**filters), limit))
    return table(
        {"datasets": found},
        say("Datasets", "数据集"),
        [
            say("id", "编号"),
            say("title", "名称"),
            say("grade", "级别"),
            say("sharing", "共享类型"),
            say("status", "状态"),
        ],
        [
            [one.get("id"), title_of(one), one.get("grade"), one.get("sharing"), one.get("status")]
            for one in found
        ],
    )


def show(asset: Asset, profile: ProfileOption = None) -> Said:
    from api.cli.profile import read_profile
    from api.sdk.drafts import document_hash

    with read_profile(profile).public() as civic:
        found = civic.dataset(asset)
    entry = found.get("metadata")
    # An entry that was signed with its digest written out is shown without it: only its parties can hash it.
    whole = isinstance(entry, dict) and entry["source"].keys() != {"format"}
    if not isinstance(entry, dict) or (whole and document_hash(entry) != found.get("metadata_hash")):
        raise CommandError(
            say(
                "the entry that the service shows is not the one that was signed",
                "服务给出的目录条目与签署的不符",
            ),
            hint=say("tell the auditor", "请告知审计员"),
            code="metadata.tampered",
        )
    found["checked"] = whole
    if not whole:
        note(
            say(
                "the entry was signed with its file's digest, which is not shown: its hash was not checked",
                "该条目签署时含文件摘要，此处不予显示：其哈希未经核对",
            )
        )
    columns = [f"{field['name']}: {field['type']} ({field['class']})" for field in entry["schema"]["fields"]]
    shown = [(name, value) for name, value in found.items() if name != "metadata"]
    return facts(found, title_of(found), [*shown, (say("columns", "字段"), columns)])


def source(
    asset: Asset,
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> Said:
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile

    with read_profile(profile).connect(Passphrases(passphrase_file), service_key) as civic:
        found = civic.dataset_source(asset)
    return facts(found, say("The file that was signed", "所签署的文件"), found.items())


def register_dataset(
    desk: Desk,
    asset: Annotated[
        str,
        typer.Argument(
            metavar="[ASSET]",
            help=say("Such as 7.12; the next free number by default.", "例如 7.12；默认取下一个空号。"),
        ),
    ] = "",
    file: Annotated[
        Path | None,
        typer.Option(help=say("The data: CSV or Parquet.", "数据文件：CSV 或 Parquet。"), show_default=False),
    ] = None,
    metadata: Annotated[
        Path | None,
        typer.Option(
            help=say("A finished catalogue entry instead.", "改用已写好的目录条目。"), show_default=False
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            help=say(
                "COLUMN=identifier|quasi-identifier|sensitive|plain (repeat).",
                "字段=identifier|quasi-identifier|sensitive|plain（可重复）。",
            ),
            show_default=False,
        ),
    ] = None,
    person_key: Annotated[
        str,
        typer.Option(help=say("Column that tells persons apart.", "区分个人的字段。"), show_default=False),
    ] = "",
    title_zh: Annotated[
        str, typer.Option(help=say("Title in Chinese.", "中文名称。"), show_default=False)
    ] = "",
    title_en: Annotated[
        str, typer.Option(help=say("Title in English.", "英文名称。"), show_default=False)
    ] = "",
    description_zh: Annotated[
        str, typer.Option(help=say("Summary in Chinese.", "中文摘要。"), show_default=False)
    ] = "",
    description_en: Annotated[
        str, typer.Option(help=say("Summary in English.", "英文摘要。"), show_default=False)
    ] = "",
    grade: Annotated[str, typer.Option(help="general | important | core")] = "general",
    sharing: Annotated[str, typer.Option(help="unconditional | conditional | none")] = "conditional",
    update_cycle: Annotated[
        str,
        typer.Option(
            help=say("How often it is renewed, such as P1D.", "更新周期，例如 P1D。"), show_default=False
        ),
    ] = "",
    legal_basis: Annotated[
        str, typer.Option(help=say("Legal basis of holding it.", "持有依据。"), show_default=False)
    ] = "",
    licence: Annotated[
        str, typer.Option(help=say("Licence of open data.", "开放数据许可。"), show_default=False)
    ] = "",
    no_upload: Annotated[
        bool, typer.Option("--no-upload", help=say("Do not hand the file in now.", "暂不提交文件。"))
    ] = False,
) -> Proposal:
    from api.cli.registration import catalogue_entry, schema_of
    from api.sdk.drafts import draft_registration

    if metadata is None and file is None:
        raise UsageError(
            say("name the data or a finished catalogue entry", "请指定数据文件或已写好的目录条目"),
            hint="--file data.csv, --metadata entry.json",
        )
    if file is not None and not no_upload and not desk.profile.service:
        raise UsageError(
            say(
                "handing the file in needs a service key, and the profile names none",
                "提交文件需要服务密钥，而配置未指定",
            ),
            hint=say(
                "--no-upload, and later: civic dataset upload",
                "使用 --no-upload，稍后再执行 civic dataset upload",
            ),
        )
    if file is None:
        refuse_unused("--metadata", "no_upload")
    if metadata is not None:
        refuse_unused("--metadata", *OF_THE_ENTRY)
        entry = read_object(metadata, "--metadata")
        _must_be_of(entry, file)
    else:
        assert file is not None
        entry = catalogue_entry(
            file,
            schema_of(file, listed(classes), person_key),
            title={"zh": title_zh, "en": title_en},
            description={"zh": description_zh, "en": description_en},
            sharing=sharing,
            grade=grade,
            department=desk.profile.department,
            updateCycle=update_cycle or None,
            legalBasis=legal_basis or None,
            licence=licence or None,
        )
        _say_columns(entry)
    number = asset or _next_number(desk)
    draft = draft_registration(number, entry, deadline=desk.deadline)

    def hand_file_in() -> dict[str, Any]:
        if file is None or no_upload:
            return {}
        with desk.profile.connect(desk.passphrases) as civic:
            answer = civic.upload(number, file)
        kept = desk.profile.keep(answer["receipt"], answer.get("call")) if "receipt" in answer else ""
        return {
            "upload": {"sha256": answer.get("sha256"), "bytes": answer.get("bytes"), "receipt": str(kept)}
        }

    return Proposal(draft, hand_file_in, {"asset": number})


def upload(
    asset: Asset,
    file: Annotated[Path, typer.Argument(metavar="FILE", help=say("The data.", "数据文件。"))],
    service_key: ServiceKeyOption = "",
    passphrase_file: PassphraseFile = None,
    profile: ProfileOption = None,
) -> Said:
    from api.cli.passphrases import Passphrases
    from api.cli.profile import read_profile

    found = read_profile(profile)
    with found.connect(Passphrases(passphrase_file), service_key) as civic:
        answer = civic.upload(asset, file)
    answer["receipt"] = str(found.keep(answer["receipt"], answer.pop("call", None)))
    shown = [(name, value) for name, value in answer.items() if name != "entry"]
    return facts(answer, say("The file is in its place.", "文件已就位。"), shown)


def suspend(
    desk: Desk,
    asset: Asset,
    reason: Annotated[str, typer.Option(help=say("Why, in words; it goes on record.", "原因说明，将留痕。"))],
) -> Proposal:
    from api.sdk.drafts import draft_suspension

    return Proposal(draft_suspension(asset, reason, deadline=desk.deadline))


def lift(
    desk: Desk,
    asset: Asset,
    reason: Annotated[str, typer.Option(help=say("Why, in words; it goes on record.", "原因说明，将留痕。"))],
) -> Proposal:
    from api.sdk.drafts import draft_suspension

    return Proposal(draft_suspension(asset, reason, lift=True, deadline=desk.deadline))


def retire(desk: Desk, asset: Asset) -> Proposal:
    from api.sdk.drafts import draft_retirement

    return Proposal(draft_retirement(asset, deadline=desk.deadline))


def title_of(one: dict[str, Any]) -> str:
    """The title in the command's language."""
    titles = (one.get("metadata") or {}).get("title") or {}
    return str(titles.get(language()) or next(iter(titles.values()), ""))


def _next_number(desk: Desk) -> str:
    mine = desk.profile.department
    with desk.profile.public() as civic:
        used = [int(str(one["id"]).partition(".")[2]) for one in civic.datasets(department=mine)]
    return f"{mine}.{max(used, default=0) + 1}"


def _must_be_of(entry: dict[str, Any], file: Path | None) -> None:
    """A finished entry is well formed and, when the file is at hand, about this file."""
    from api.sdk.drafts import source_of
    from ledger.catalogue.metadata import MetadataError, is_sealed, parse_metadata

    parse_metadata(entry)
    if is_sealed(entry):
        raise MetadataError(
            "the entry names an opening that is not here: write its source out",
            pointer="/source",
            hint='{"format": "csv", "sha256": "...", "bytes": 1024}; a salt is drawn',
        )
    if file is None:
        return
    said = source_of(file)
    if any(said[name] != entry["source"][name] for name in ("format", "sha256", "bytes")):
        raise MetadataError(
            f"the entry is not about {file.name}: its SHA-256 is {said['sha256']}", pointer="/source"
        )


def _say_columns(entry: dict[str, Any]) -> None:
    note(say("columns, as inferred and classed:", "字段（推断类型与分类）："))
    for field in entry["schema"]["fields"]:
        note(f"  {field['name']}: {field['type']}, {field['class']}")
