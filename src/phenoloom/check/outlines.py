"""Read outlines given as points as the step would, and count those that become contours."""

from __future__ import annotations

from ..artifacts.manifest import Quarantine, Rejected, by_reason
from ..shapes.contours import ContourPolicy, accepted
from ..shapes.sources import outline_source
from .files import reasons
from .subject import Finding, Subject, counted

MOST = 20_000
"""Outlines that are looked at."""


def outlines(subject: Subject) -> Finding:
    """Say how many outlines become contours, and why the others do not."""
    if not (subject.study.source.outlines and subject.study.shapes):
        return Finding("outlines")
    settings = subject.settings.contours()
    source = outline_source(settings.source, None, settings.root, settings.masks, settings.outlines)
    policy, rows = ContourPolicy.of(settings), subject.table.slice(0, MOST)
    kept, rejected, quarantine = 0, Rejected(), Quarantine()
    for batch in source.batches(rows, 1)[1]:
        kept += len(accepted(policy, batch, rejected)[0])
        rejected += batch.rejected
        quarantine += batch.quarantine
    left_out = by_reason(rejected)
    lines = [f"{kept:,} of {counted(rows.num_rows, 'outline')} become contours"]
    lines += [f"  {count:,} x {reason}" for reason, count in left_out.most_common()]
    if quarantine:
        lines += [f"{counted(len(quarantine), 'outline')} cannot be used", *reasons(quarantine)]
    problems = []
    if len(quarantine) > policy.max_rejected_fraction * rows.num_rows:
        problems.append(
            f"{len(quarantine):,} of {counted(rows.num_rows, 'outline')} cannot be used, more than "
            f"max_rejected_fraction = {policy.max_rejected_fraction:g} allows; repair "
            f"{subject.study.source.outlines.path}, or raise max_rejected_fraction"
        )
    elif not kept:
        why = ", ".join(f"{count:,} x {reason}" for reason, count in left_out.most_common())
        problems.append(
            f"no outline becomes a contour ({why}), so the study would be empty; repair "
            f"{subject.study.source.outlines.path}, check its columns and format, or lower shapes.min_points"
        )
    return Finding("outlines", lines, problems)
