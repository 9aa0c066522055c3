"""Report of a selection by scores: gallery that can be corrected, scores with the cut, and what each score was made from."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.jobs.rank import RankOutputs
from relion4plugin.ranker.ranked_run import RankedRun
from relion4plugin.web.page import document, escape, figure, note
from relion4plugin.web.rank_figures import feature_table, histogram
from relion4plugin.web.rank_gallery import SCRIPT, STYLE, gallery_section, score_text

if TYPE_CHECKING:
    from relion4plugin.ranker.weights import Ranker

_RULE_WORDS = {
    "calibrated": "made for this data set",
    "score": "given",
    "top": "from the share of particles",
    "number": "classes by number",
}


def write_report(outputs: RankOutputs, path: Path | None = None) -> Path:
    """Write the report of a finished selection.

    Parameters
    ----------
    outputs
        As returned by `jobs.rank.run`.
    path
        The HTML file; ``report.html`` in the job directory by default. It is replaced atomically.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    UserError
        If the report cannot be written, or `outputs` does not hold what was computed.
    """
    if outputs.ranked is None or outputs.ranker is None:
        raise UserError("the report of a selection is made when it runs: run the selection again")
    target = path or outputs.particles.with_name("report.html")
    atomic_write_text(target, report_html(outputs.ranked, outputs.ranker, outputs.particles.parent))
    return target


def report_html(ranked: RankedRun, ranker: "Ranker", directory: Path) -> str:
    """Return the whole page as HTML text; `directory` is that of the job."""
    run = ranked.run
    body = [
        f"<header><h1>Selection of 2D classes</h1><p>{escape(str(directory))}, of {escape(str(run.optimiser_path))}</p></header>",
        *(note(text, warning=len(ranked.selected) == 0) for text in ranked.remarks),
        _summary(ranked, ranker),
        f"<h2>Classes</h2>{gallery_section(ranked, _command(ranked, directory))}",
        f'<h2>Scores</h2><div class="charts">{histogram(ranked)}</div>',
        f"<h2>What the scores were made from</h2>{feature_table(ranked, ranker.card)}",
        "<footer>Score: by the network, which sees one class at a time. Score in this job: how likely the class is a good one, judged "
        "beside the others. Pictures are scaled per class between the 0.5 and 99.5 percentiles of its grey values. Particles in the "
        "gallery: number assigned to the class; in the histogram: sum of the posterior weights. Made by relion4plugin.</footer>",
    ]
    return document(f"Selection: {directory.name}", "\n".join(body), STYLE, SCRIPT)


def _command(ranked: RankedRun, directory: Path) -> str:
    return f"relion4plugin rank --i {ranked.run.optimiser_path} --o {directory}_by_hand --selection backup_selection.star"


def _summary(ranked: RankedRun, ranker: "Ranker") -> str:
    kept, total = int(ranked.particle_mask.sum()), len(ranked.run.data)
    threshold = f"{ranked.threshold:.3f}" if math.isfinite(ranked.threshold) else "–"
    rule = f"by hand: {ranked.rule}" if math.isnan(ranked.threshold) else _RULE_WORDS[ranked.rule]
    if math.isfinite(ranked.threshold) and ranked.deciding is not ranked.scores:
        rule += ", of the score in this job"
    figures = [
        figure("Selected classes", f"{len(ranked.selected)} of {len(ranked.scores)}", f"{len(ranked.features.classes)} with a score"),
        figure("Selected particles", f"{kept:,}", f"{100 * kept / total:.1f} % of {total:,}"),
        figure("Threshold", threshold, rule),
        figure("Best score", score_text(float(ranked.scores.max())), ""),
        figure("Weights", "our own" if ranker.own else "RELION's", ranker.path.name),
    ]
    return f'<dl class="figures">{"".join(figures)}</dl>'
