"""What the evidence says of an initial model: a structure, a doubtful one, or none."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

HALVES_GAIN = 0.65  # a structure is resolved by independent halves to this share of the low-pass they started from
AGREEMENT_SHARE = 0.3  # of the particle's diameter: starts that agree to a finer resolution found the same structure


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a run found out; resolutions in A, None where not asked."""

    starts: list[dict[str, Any]]  # seed, log_likelihood, resolution; the chosen one first
    particle_diameter: float
    round: int = 1  # of starts; those before it found no structure
    half_fsc: np.ndarray | None = None
    half_resolution: float | None = None  # FSC 0.143 of independent halves
    lowpass: float | None = None  # from where on they are independent
    agreement: dict[int, float] = field(default_factory=dict)  # seed -> resolution to which another start agrees
    agreement_fsc: tuple[float, ...] = ()
    symmetry: str = "C1"
    symmetry_score: float | None = None
    possible_symmetry: str = ""


@dataclass(frozen=True, eq=False)
class Verdict:
    """The evidence in words."""

    text: str
    reliable: bool
    evidence: Evidence

    @property
    def agreement(self) -> dict[str, Any] | None:
        """Resolution (A) to which other starts agree, by seed; None for a single start."""
        return {str(seed): value for seed, value in self.evidence.agreement.items()} or None

    def as_json(self, class_number: int) -> dict[str, Any]:
        """Return what is written beside the map."""
        e = self.evidence
        restarts = [
            {
                "seed": start["seed"],
                "log_likelihood": start.get("log_likelihood"),
                "resolution": start.get("resolution"),
                "agreement_resolution": _finite(e.agreement.get(start["seed"])),
            }
            for start in e.starts
        ]
        evidence = {
            "resolution of independent halves (A)": _finite(e.half_resolution),
            "halves are independent beyond (A)": e.lowpass,
            "possible symmetry": e.possible_symmetry or None,
        }
        return {
            "verdict": self.text,
            "reliable": self.reliable,
            "symmetry": e.symmetry,
            "symmetry_score": e.symmetry_score,
            "selected_class": class_number,
            "round": e.round,
            "restarts": restarts,
            "agreement_fsc": list(e.agreement_fsc),
            "half_fsc": [] if e.half_fsc is None else [float(value) for value in e.half_fsc],
            "evidence": {name: value for name, value in evidence.items() if value is not None},
        }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def judge(evidence: Evidence) -> Verdict:
    """Weigh independent halves first, and the agreement of random starts where halves were not asked."""
    said = []
    agreeing = [value for value in evidence.agreement.values() if value <= AGREEMENT_SHARE * evidence.particle_diameter]
    halves_say: bool | None = None
    if evidence.half_resolution is not None and evidence.lowpass is not None:
        halves_say = evidence.half_resolution <= HALVES_GAIN * evidence.lowpass
        said.append(
            f"independent halves agree to {evidence.half_resolution:.1f} A, starting alike only to {evidence.lowpass:.0f} A"
        )
    if evidence.agreement:
        finest = min(evidence.agreement.values())
        said.append(f"{len(agreeing)} of {len(evidence.agreement)} other starts agree with it (the best to {finest:.0f} A)")
    if evidence.round > 1:
        said.append(f"round {evidence.round} of starts, after none in {evidence.round - 1} before")
    if halves_say is None:
        reliable = bool(agreeing) if evidence.agreement else False
    else:
        reliable = halves_say
    if reliable and evidence.agreement and not agreeing:
        head = "A structure was found, but by one start only"
    elif reliable:
        head = "A structure was found"
    elif halves_say is None and not evidence.agreement:
        head = "Not judged: one start and no refinement of independent halves"
    else:
        head = "No structure was found: the map is not to be trusted"
    return Verdict(f"{head}: {'; '.join(said)}" if said else head, reliable, evidence)
