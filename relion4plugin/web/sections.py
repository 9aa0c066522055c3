"""Parts that every report has: how the run went, and what went into it, and the table of classes."""

from collections.abc import Sequence

from relion4plugin.web.charts import Mark
from relion4plugin.web.curves import Curve, curve_cards, occupancy_card
from relion4plugin.web.page import card, folded, note, table
from relion4plugin.web.run_details import RecordedRun
from relion4plugin.web.wording import number

MAX_GROUP_ROWS = 50
OPTICS = ("Name", "Voltage (kV)", "Cs (mm)", "Amplitude contrast", "Pixel size (Å)", "Particles")


def course_section(run: RecordedRun, curves: Sequence[Curve], marks: Sequence[Mark] = ()) -> str:
    """Return the curves over the iterations, or a remark where there are no records."""
    if not run.records:
        return note(
            "This directory has no run_iterations.jsonl (RELION does not write one), so there are no curves: "
            "only the final state of the run is known."
        )
    occupancy = occupancy_card(run) if run.n_classes > 1 else ""
    return f'<div class="charts">{occupancy}{"".join(curve_cards(run, curves, marks))}</div>'


def inputs_section(run: RecordedRun) -> str:
    """Return optics groups, scale groups and settings."""
    parts = [card("Optics groups", table(OPTICS, run.optics_rows, text_columns=(0,)), wide=True)]
    if run.group_rows:
        shown = run.group_rows[:MAX_GROUP_ROWS]
        more = f"<p>{len(run.group_rows) - len(shown)} more groups are not listed.</p>" if len(run.group_rows) > len(shown) else ""
        parts.append(folded("Scale groups (micrographs)", table(("Group", "Particles", "Scale"), shown, text_columns=(0,)) + more))
    if run.settings:
        parts.append(folded("Settings", table(("Setting", "Value"), run.settings, text_columns=(0, 1))))
    return "".join(parts)


def class_table(run: RecordedRun) -> str:
    """Return the figures of all classes, the most populated first."""
    header = ("Class", "Particles", "Particles (%)", "Distribution (%)", "Resolution (Å)", "Accuracy rotations (°)", "Accuracy offsets (Å)")
    total = max(int(run.counts.sum()), 1)
    rows = [
        (
            str(k + 1),
            f"{int(run.counts[k]):,}",
            f"{100 * int(run.counts[k]) / total:.2f}",
            f"{100 * float(run.distribution[k]):.2f}",
            number(float(run.class_resolution[k]), 1),
            number(float(run.accuracy_rotations[k]), 1),
            number(float(run.accuracy_offsets[k]), 2),
        )
        for k in run.order
    ]
    return table(header, rows)
