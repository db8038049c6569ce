"""What commands show to a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mdm.cli.terminal import err, number, out, table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdm.pipeline.demo import DemoResult
    from mdm.pipeline.evaluation import Evaluation
    from mdm.pipeline.ingest import IngestReport
    from mdm.pipeline.run import RunReport
    from mdm.pipeline.verify import Check
    from mdm.registries.check import CheckReport
    from mdm.registries.declaration import RegistryDeclaration
    from mdm.simulation.simulate import SimulationSummary


def simulation(summary: SimulationSummary) -> None:
    shown = table("Rows written", "Registry", "Rows", right=(1,))
    for code, rows in summary.rows.items():
        shown.add_row(code, number(rows))
    out.print(shown)
    out.print(
        f"{summary.people:,} people; {summary.rejects:,} rows that must be rejected; files in {summary.out}"
    )
    out.print(f"Next: mdm init, then mdm ingest {summary.out}")


def ingest(report: IngestReport) -> None:
    shown = table(
        "Ingested",
        "Registry",
        "Received",
        "Accepted",
        "Refused",
        "New",
        "Changed",
        "Same",
        "Gone",
        right=tuple(range(1, 8)),
    )
    for code, counts in report.by_registry().items():
        shown.add_row(
            code,
            *(
                number(value)
                for value in (
                    counts.received,
                    counts.accepted,
                    counts.quarantined,
                    counts.new,
                    counts.changed,
                    counts.unchanged,
                    counts.withdrawn,
                )
            ),
        )
    out.print(shown)
    already = [file for file in report.files if file.already]
    if already:
        out.print(f"{len(already):,} files were landed before and are unchanged: nothing to do for them.")
    for path in report.unmatched:
        err.print(f"Not read, no source of the registry has files of this name: {path}", highlight=False)
    for failed in report.failed:
        err.print(f"[bold red]Not taken[/] {failed.registry}: ", end="")
        err.print(str(failed.error), markup=False, highlight=False)


def run(report: RunReport) -> None:
    if report.nothing_to_do:
        out.print("Nothing has changed since the last run: nothing to do. (--force runs all the same.)")
        return
    if report.resumed:
        out.print("Went on with the run that was stopped.")
    shown = table("Run", "Step", "Seconds", "Rows", "Rows per second", "Outcome", right=(1, 2, 3))
    for step in report.steps:
        speed = number(round(step.rows / step.seconds)) if step.rows and step.seconds else ""
        shown.add_row(
            step.step,
            f"{step.seconds:,.1f}",
            number(step.rows),
            speed,
            _outcome(step.detail) + (" (earlier)" if step.earlier else ""),
        )
    out.print(shown)
    if not report.changed_anything:
        out.print("Nothing changed: no entity, golden record or number is different.")


def _outcome(detail: Mapping[str, Any]) -> str:
    plain = {
        name: value
        for name, value in detail.items()
        if isinstance(value, int) and not isinstance(value, bool)
    }
    return ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in plain.items())


def evaluation(result: Evaluation) -> None:
    shown = table("Against the truth", "Measure", "Value", right=(1,))
    shown.add_row("precision (pairs)", f"{result.pairs.precision:.5f}")
    shown.add_row("recall (pairs)", f"{result.pairs.recall:.5f}")
    shown.add_row("F1 (pairs)", f"{result.pairs.f1:.5f}")
    shown.add_row("people found exactly", f"{result.clusters.exact:,} of {result.clusters.people:,}")
    shown.add_row("entities that hold two people", number(result.clusters.false_merges))
    shown.add_row("people in more than one entity", number(result.clusters.split_people))
    shown.add_row("rows that had to be rejected", f"{result.rejects_found:,} of {result.rejects_expected:,}")
    shown.add_row("rows rejected without need", number(result.rejects_unexpected))
    out.print(shown)
    recall = table("Found with the population record", "Registry", "Records", "Recall", right=(1, 2))
    for registry in result.registries:
        recall.add_row(registry.registry, number(registry.records), f"{registry.recall:.4f}")
    out.print(recall)


def demo(result: DemoResult) -> None:
    shown = table(
        f"{result.people:,} people, profile {result.profile}, seed {result.seed}",
        "Registry", "Received", "Accepted", "Quarantined", "Duplicates", right=(1, 2, 3, 4),
    )  # fmt: skip
    for row in result.registries:
        shown.add_row(
            row.code,
            number(row.received),
            number(row.accepted),
            number(row.quarantined),
            number(row.duplicates),
        )
    shown.add_section()
    shown.add_row("Outcome", style="bold")
    for label, value in result.totals.items():
        shown.add_row(label, number(value) if isinstance(value, int) else f"{value:.5f}")
    shown.add_section()
    shown.add_row("Step", "Seconds", "Rows", "Rows/second", style="bold")
    for step in result.steps:
        speed = f"{step.rows / step.seconds:,.0f}" if step.rows and step.seconds else ""
        shown.add_row(step.name, f"{step.seconds:,.1f}", number(step.rows) if step.rows else "", speed)
    out.print(shown)
    out.print("Duplicates: records beyond a person's first in the same registry.")
    out.print(f"Report: {result.report}")
    out.print(
        f"Store:  {result.store}   (try: mdm export crosswalk --store {result.store} --out crosswalk.csv)"
    )


def checks(found: list[Check]) -> None:
    shown = table("Verified", "What", "Examined", "Outcome", right=(1,))
    for check in found:
        shown.add_row(
            check.name, number(check.examined), "[red]wrong[/]" if check.wrong else "[green]sound[/]"
        )
    out.print(shown)
    for note in (note for check in found for note in check.notes):
        out.print(f"[yellow]Not examined[/] {note}", soft_wrap=True)


def registries(declared: Mapping[str, RegistryDeclaration]) -> None:
    shown = table("Registries", "Code", "Tên / name", "Owner", "Holds", "Marks")
    for code, registry in declared.items():
        marks: list[str] = [registry.sensitivity] if registry.sensitivity != "normal" else []
        marks += ["anchor"] if registry.anchor else []
        shown.add_row(
            code,
            f"{registry.name.vi} / {registry.name.en}",
            registry.owner.en,
            ", ".join(registry.holds),
            ", ".join(marks),
        )
    out.print(shown)


def check(report: CheckReport) -> None:
    out.print(
        f"{report.registry}: {report.received:,} rows received, {report.accepted_rows:,} accepted, {report.quarantined:,} to quarantine, {report.skipped:,} skipped"
    )
    if report.reasons:
        shown = table("Why rows would not be accepted", "Reason", "Rows", "First rows", right=(1,))
        for reason in report.reasons:
            shown.add_row(reason.reason, number(reason.count), ", ".join(map(str, reason.first_rows)))
        out.print(shown)
    filled = table("Attributes", "Kind", "Attribute", "Filled", "Doubts", right=(2,))
    for fill in report.attributes:
        share = f"{fill.filled / fill.records:.1%}" if fill.records else ""
        filled.add_row(
            fill.kind,
            fill.attribute,
            share,
            ", ".join(f"{issue} {count:,}" for issue, count in fill.issues.items()),
        )
    out.print(filled)
    if report.unmapped_columns:
        out.print(
            f"Columns that are not used: {', '.join(report.unmapped_columns)}", markup=False, highlight=False
        )


def quarantine(rows: list[dict[str, Any]]) -> None:
    if not rows:
        out.print("The quarantine is empty.")
        return
    shown = table("Open rows", "Number", "Registry", "File", "Row", "Reason", right=(0, 3))
    for row in rows:
        shown.add_row(
            str(row["quarantine_id"]), row["registry"], row["file"], number(row["row_number"]), row["reason"]
        )
    out.print(shown)
    out.print(
        "To repair: mdm export quarantine --out rows.csv, correct `raw`, then mdm quarantine replay rows.csv"
    )
