"""Class averages sorted by score, which a click selects or leaves out, and the selection as a text to save."""

import numpy as np

from relion4plugin.ranker.ranked_run import NO_SCORE, RankedRun
from relion4plugin.web.images import grey_levels, png_data_uri
from relion4plugin.web.page import escape
from relion4plugin.web.wording import angstrom

KEY = (
    "The best first, by the score that decided. Below each average: score and class number; score in this job where the weights give one; "
    "particles and estimated resolution. "
    "Selected classes have a coloured frame. Click a class (or press Enter on it) to correct the selection."
)
GRADES = ((1, "selected, or best grade"), (5, "good"), (2, "fair"), (3, "poor"))

STYLE = """
.pick{cursor:pointer;border-width:3px;opacity:.62}
.pick.chosen{border-color:var(--s2);opacity:1}
.pick.changed .state::after{content:" *";color:var(--warn)}
.pick:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.tools{display:flex;flex-wrap:wrap;align-items:center;gap:.5rem .8rem;margin:.6rem 0 1rem}
.tools button,.tools select{font:inherit;color:inherit;background:var(--card);padding:.3rem .7rem}
.tools button,.tools select{border:1px solid var(--line);border-radius:8px}
.tools button:hover{border-color:var(--accent)}
.tools output{color:var(--soft);font-variant-numeric:tabular-nums}
.saved textarea{width:100%;height:9rem;font:12px/1.3 monospace;background:var(--bg);color:var(--ink);border:1px solid var(--line)}
.saved pre{overflow-x:auto;background:var(--bg);padding:.5rem;border-radius:6px}
.features th{white-space:normal;vertical-align:bottom;padding:.25rem .4rem}.features td{padding:.2rem .4rem}
.p0{background:#4477aa99}.p1{background:#4477aa66}.p2{background:#4477aa33}
.p7{background:#ee667733}.p8{background:#ee667766}.p9{background:#ee667799}
td small{color:var(--soft)}
.count.chosen{fill:var(--s2)}.count.left{fill:var(--rest)}
.chart .cut{stroke:var(--warn);stroke-width:1.6;stroke-dasharray:5 3}
"""

SCRIPT = """
(function () {
  var tiles = Array.prototype.slice.call(document.querySelectorAll('.pick'));
  var grade = document.getElementById('grade'), text = document.getElementById('selection'), told = document.getElementById('told');
  function label(tile) { return Number(tile.dataset.label); }
  function star() {
    var rows = new Array(tiles.length);
    tiles.forEach(function (tile) { rows[Number(tile.dataset.row)] = String(label(tile)).padStart(12); });
    return '\\n# version 30001\\n\\ndata_\\n\\nloop_ \\n_rlnSelected #1 \\n' + rows.join(' \\n') + ' \\n \\n';
  }
  function show() {
    var classes = 0, particles = 0, changed = 0;
    tiles.forEach(function (tile) {
      var on = label(tile) > 0;
      tile.classList.toggle('chosen', on);
      tile.classList.toggle('changed', label(tile) !== Number(tile.dataset.first));
      tile.setAttribute('aria-checked', String(on));
      var named = label(tile) > 1 && grade.querySelector('option[value="' + label(tile) + '"]');
      tile.querySelector('.state').textContent = named ? named.textContent : on ? 'selected' : 'left out';
      classes += on; particles += on ? Number(tile.dataset.particles) : 0;
      changed += label(tile) !== Number(tile.dataset.first);
    });
    told.textContent = classes + ' classes, ' + particles.toLocaleString('en') + ' particles selected'
      + (changed ? '; ' + changed + ' changed' : '');
    text.value = star();
  }
  function toggle(tile) {
    var wanted = Number(grade.value);
    tile.dataset.label = label(tile) === wanted || (label(tile) > 0 && wanted === 1) ? 0 : wanted;
    show();
  }
  tiles.forEach(function (tile) {
    tile.addEventListener('click', function () { toggle(tile); });
    tile.addEventListener('keydown', function (event) {
      if (event.key === 'Enter' || event.key === ' ') { event.preventDefault(); toggle(tile); }
    });
  });
  document.getElementById('reset').addEventListener('click', function () {
    tiles.forEach(function (tile) { tile.dataset.label = tile.dataset.first; });
    show();
  });
  document.getElementById('save').addEventListener('click', function () {
    var link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([star()], {type: 'text/plain'}));
    link.download = 'backup_selection.star';
    link.click();
    setTimeout(function () { URL.revokeObjectURL(link.href); }, 1000);
  });
  document.getElementById('copy').addEventListener('click', function () {
    text.closest('details').open = true;
    text.select();
    document.execCommand('copy');
  });
  show();
})();
"""


def falling_order(ranked: RankedRun) -> np.ndarray:
    """0-based classes, best score first, those without a score at the end."""
    return np.argsort(-ranked.deciding, kind="stable")


def gallery_section(ranked: RankedRun, command: str) -> str:
    """Return tools, gallery and the text to save; `command` applies a saved selection."""
    options = "".join(f'<option value="{value}">{escape(name)}</option>' for value, name in GRADES)
    tools = (
        f'<div class="tools"><label>A click gives: <select id="grade">{options}</select></label>'
        '<button type="button" id="save">Save selection</button><button type="button" id="copy">Copy as text</button>'
        '<button type="button" id="reset">Undo all changes</button><output id="told"></output></div>'
    )
    counts = np.bincount(ranked.run.class_number, minlength=len(ranked.scores) + 1)[1:]
    tiles = "".join(_tile(ranked, int(k), int(counts[k])) for k in falling_order(ranked))
    saved = (
        '<details class="saved"><summary>The selection as a file</summary>'
        "<p>Save it as backup_selection.star, then make particles and class averages of it:</p>"
        f'<pre>{escape(command)}</pre><textarea id="selection" readonly aria-label="backup_selection.star"></textarea>'
        "<p>With <code>--keep_training FOLDER</code> the classification and this selection are also kept to train the ranker. "
        "Grades other than the first are for training; every grade is selected.</p></details>"
    )
    return f'<p class="key">{KEY}</p>{tools}<ul class="gallery">{tiles}</ul>{saved}'


def score_text(score: float) -> str:
    """Write a score with two digits, or a dash where there is none."""
    return f"{score:.2f}" if score > NO_SCORE else "–"


def _tile(ranked: RankedRun, k: int, count: int) -> str:
    chosen = int(ranked.labels[k])
    name = f"Class {k + 1}, score {score_text(float(ranked.scores[k]))}, {count} particles"
    picture = png_data_uri(grey_levels(ranked.run.classes[k]))
    box = ranked.run.classes.shape[-1]
    return (
        f'<li class="tile pick{" chosen" if chosen else ""}" role="checkbox" tabindex="0" aria-checked="{"true" if chosen else "false"}" '
        f'aria-label="{escape(name)}" data-row="{k}" data-label="{chosen}" data-first="{chosen}" data-particles="{count}">'
        f'<img src="{picture}" alt="" title="{escape(name)}" width="{box}" height="{box}"><div class="caption">'
        f'<div class="row"><b>{score_text(float(ranked.scores[k]))}</b><b>#{k + 1}</b></div>'
        f"{_in_job(ranked, k)}"
        f'<div class="row"><span>{count:,}</span><span>{angstrom(float(ranked.run.resolution[k]))}</span></div>'
        f'<div class="row"><span class="state">{"selected" if chosen else "left out"}</span></div></div></li>'
    )


def _in_job(ranked: RankedRun, k: int) -> str:
    if ranked.job_scores is None:
        return ""
    return f'<div class="row"><span>in this job</span><b>{score_text(float(ranked.job_scores[k]))}</b></div>'
