"""A draft put together with its session: values, what is wrong or doubtful, and the plan of the launch."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.acquisition.gain_rule import choose_gain
from relion4plugin.acquisition.launch_findings import findings_of
from relion4plugin.acquisition.merge import merge
from relion4plugin.acquisition.mtf_rule import choose_mtf
from relion4plugin.acquisition.plan import LaunchPlan, make_launch_plan
from relion4plugin.acquisition.preset import Preset
from relion4plugin.acquisition.record import AcquisitionRecord, Finding, Value
from relion4plugin.acquisition.session_facts import SessionFacts, safe_name
from relion4plugin.acquisition.settings import Settings, make_settings
from relion4plugin.acquisition.target import AlreadyLaunched, Target, target_for
from relion4plugin.acquisition.user_values import FIELD_OF_OPTION, UserValues
from relion4plugin.errors import UserError
from relion4plugin.web.mdcatch.corrections import corrections_of, preset_with
from relion4plugin.web.mdcatch.drafts import Draft
from relion4plugin.web.mdcatch.entries import Entry, Known, make_entries
from relion4plugin.web.mdcatch.inputs import DEFAULTS, INPUTS
from relion4plugin.web.mdcatch.reading import ReadSession
from relion4plugin.web.mdcatch.setup import Setup

_ADVICE = re.compile(r"[:;,]( and)?( give| raise| lower| choose)?( another)? --.*$", re.DOTALL)  # for the command line
AGAIN = "again"  # rule of the error that a session was launched before


@dataclass(frozen=True)
class Review:
    """A draft as the second page shows it.

    Attributes
    ----------
    read : ReadSession
        Its session.
    record : AcquisitionRecord
        Merged values.
    settings : Settings or None
        Options, where the values suffice for them.
    entries : mapping
        Every value by its name.
    findings : tuple of Finding
        What is wrong or doubtful, errors first.
    plan : LaunchPlan or None
        The launch, where there is nothing that forbids even a plan.
    pipeline : str
        relion or scipion.
    """

    read: ReadSession
    record: AcquisitionRecord
    settings: Settings | None
    entries: Mapping[str, Entry]
    findings: tuple[Finding, ...]
    plan: LaunchPlan | None
    pipeline: str

    def of_level(self, level: str) -> list[Finding]:
        """Return the findings of a level."""
        return [finding for finding in self.findings if finding.level == level]

    @property
    def can_launch(self) -> bool:
        """Whether there is a plan and no error forbids it."""
        return self.plan is not None and not self.of_level("error")

    @property
    def digest(self) -> str:
        """What tells these warnings from others; empty without any."""
        warnings = self.of_level("warning")
        text = "\0".join(f"{finding.rule} {finding.field} {finding.text}" for finding in warnings)
        return hashlib.sha256(text.encode()).hexdigest()[:16] if warnings else ""


def make_review(setup: Setup, draft: Draft, read: ReadSession) -> Review:
    """Merge all values of a draft and plan its launch; nothing is written."""
    given = corrections_of(draft, setup.places)
    user, facts, preset = given.user, read.facts, preset_with(read.preset, given.user)
    record = merge(facts.record, preset, user)
    gain, (mtf, _) = choose_gain(record, preset, facts.folders, facts.first_time), choose_mtf(record, preset)
    pipeline = draft.pipeline or preset.get("processing.pipeline")
    findings = [Finding("input", "error", name, text) for name, text in given.problems.items()]
    plan, refused = _plan(setup, draft, facts, preset, user, pipeline)
    if plan is not None:
        findings += plan.findings
    else:
        findings += [*findings_of(facts, record, preset, user), *([refused] if refused is not None else [])]
    settings = plan.settings if plan is not None else _settings(facts, record, preset, user, gain.value, mtf)
    entries = make_entries(Known(facts, preset, record, gain, mtf, settings), draft.edits, given.problems)
    return Review(read, record, settings, entries, _sorted(findings, setup.accepted), plan, pipeline)


def _plan(
    setup: Setup, draft: Draft, facts: SessionFacts, preset: Preset, user: UserValues, pipeline: str
) -> tuple[LaunchPlan | None, Finding | None]:
    """Return the plan, or why there is none."""
    try:
        return make_launch_plan(facts, preset, user, target_of(setup, draft, facts, preset), pipeline), None
    except AlreadyLaunched as error:
        return None, Finding(AGAIN, "error", "", _ADVICE.sub("", str(error)))
    except UserError as error:
        return None, Finding("options", "error", _input_in(str(error)), _ADVICE.sub("", str(error)))


def _input_in(text: str) -> str:
    """Return the first input that a text names; "" for none. Names without an underscore are words of other texts too."""
    words = re.findall(r"\w+", text)
    names = (FIELD_OF_OPTION.get(word, word) for number, word in enumerate(words) if "_" in word or word in FIELD_OF_OPTION or number == 0)
    return next((name for name in names if name in INPUTS and ("_" in name or name in DEFAULTS)), "")


def target_of(setup: Setup, draft: Draft, facts: SessionFacts, preset: Preset) -> Target:
    """Return where the session of a draft goes.

    Raises
    ------
    UserError
        If it was launched before, or the project directory cannot be used.
    """
    root = setup.root_of_projects(preset)
    if draft.project and safe_name(draft.project) != draft.project:
        raise UserError(f"'{draft.project}' is no name for a project; expected letters, digits, points, hyphens and underscores")
    return target_for(facts, root, draft.again, root / draft.project if draft.project else None)


def _settings(
    facts: SessionFacts, record: AcquisitionRecord, preset: Preset, user: UserValues, gain: Value | None, mtf: Value | None
) -> Settings | None:
    """Return the options as far as they are known, for a draft that cannot be planned yet."""
    pattern = user.fields.get("movie_pattern") or Value(facts.pattern, "", "file names", confidence="derived")
    try:
        return make_settings(record, preset, user, pattern, gain, mtf)
    except UserError:  # the plan has said it
        return None


def _sorted(findings: list[Finding], accepted: tuple[str, ...]) -> tuple[Finding, ...]:
    """Put errors first and leave out what is told twice; errors of accepted rules become warnings."""
    taken = {rule.upper() for rule in accepted}
    seen = [
        Finding(item.rule, "warning", item.field, f"{item.text} (accepted)") if item.level == "error" and item.rule in taken else item
        for item in dict.fromkeys(findings)
    ]
    told = {item.field for item in seen if item.level == "error" and item.rule not in ("options",)}
    kept = [item for item in seen if not (item.rule == "options" and item.field and item.field in told)]
    return tuple(sorted(kept, key=lambda item: ("error", "warning", "info").index(item.level)))
