"""The optimiser table: all settings and the progress of a run under RELION's labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relion4plugin.refinement import schedules
from relion4plugin.refinement.autosampling import NO_ANGLE, NO_CLASS, NO_OFFSET, SamplingState
from relion4plugin.refinement.images import MASK_EDGE
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from relion4plugin.refinement.state import Changes, Model

HIGH_FSC = 0.2  # at the edge of the current images


def optimiser_table(
    out_dir: Path,
    name: str,
    model_stars: Sequence[str],
    iteration: int,
    settings: RefinementSettings,
    model: Model,
    changes: Changes,
    pixel_size: float,
    *,
    sampled: bool,
    sampling: SamplingState | None = None,
    converged: bool = False,
) -> dict[str, Any]:
    """Return data_optimiser_general of an iteration.

    Parameters
    ----------
    name : str
        Path prefix of the iteration's files.
    model_stars : sequence of str
        One model file, or those of both halves.
    model : Model
        The (first) model.
    sampled : bool
        Whether a sampling file was written.
    sampling : SamplingState, optional
        Of a 3D run.
    converged : bool
        Whether this is the last iteration of a converged auto-refinement.
    """
    gradient = settings.algorithm is Algorithm.VDAM
    second = {"rlnModelStarFile2": model_stars[1]} if len(model_stars) > 1 else {}
    return {
        "rlnOutputRootName": str(out_dir / "run"),
        "rlnModelStarFile": model_stars[0],
        **second,
        "rlnExperimentalDataStarFile": f"{name}_data.star",
        "rlnOrientSamplingStarFile": f"{name}_sampling.star" if sampled else "None",
        "rlnCurrentIteration": iteration,
        "rlnNumberOfIterations": settings.n_iterations,
        **_search(settings),
        **_gradient(settings, gradient, iteration),
        **_automation(settings),
        **_progress(model, changes, sampling, pixel_size, converged),
        "rlnDoCorrectNorm": settings.norm_correction,
        "rlnDoCorrectScale": settings.scale_correction,
        "rlnDoCorrectCtf": settings.ctf_correction,
        "rlnDoCenterClasses": settings.center_classes,
        "rlnDoIgnoreCtfUntilFirstPeak": settings.intact_first_peak,
        "rlnCtfDataArePhaseFlipped": settings.phase_flipped,
        "rlnDoOnlyFlipCtfPhases": settings.only_flip_phases,
        "rlnRefsAreCtfCorrected": 1,
        "rlnFixSigmaNoiseEstimates": 0,
        "rlnFixSigmaOffsetEstimates": 0,
        "rlnMaxNumberOfPooledParticles": 30,
    }


def _search(settings: RefinementSettings) -> dict[str, Any]:
    return {
        "rlnDoSplitRandomHalves": settings.auto_refine,
        "rlnJoinHalvesUntilThisResolution": settings.low_resol_join if settings.auto_refine else -1.0,
        "rlnAdaptiveOversampleOrder": settings.oversampling,
        "rlnAdaptiveOversampleFraction": settings.adaptive_fraction,
        "rlnRandomSeed": settings.seed,
        "rlnParticleDiameter": settings.particle_diameter,
        "rlnWidthMaskEdge": int(MASK_EDGE),
        "rlnDoZeroMask": settings.zero_mask,
        "rlnDoSolventFlattening": settings.flatten_solvent,
        "rlnDoSolventFscCorrection": settings.solvent_correct_fsc,
        "rlnSolventMaskName": settings.solvent_mask or "None",
        "rlnSolventMask2Name": "None",
        "rlnBodyStarFile": "None",
        "rlnTauSpectrumName": "None",
        "rlnMaximumCoarseImageSize": -1,
        "rlnHighresLimitExpectation": settings.strict_highres,
        "rlnLowresLimitExpectation": -1.0,
        "rlnIncrementImageSize": 10,
        "rlnDoMapEstimation": 1,
        "rlnDoFastSubsetOptimisation": settings.fast_subsets,
        "rlnDoExternalReconstruct": 0,
        "rlnDoSkipAlign": settings.skip_align,
        "rlnDoSkipRotate": settings.skip_rotate,
    }


def _gradient(settings: RefinementSettings, gradient: bool, iteration: int) -> dict[str, Any]:
    return {
        "rlnDoGradientRefine": gradient,
        "rlnDoStochasticGradientDescent": gradient,
        "rlnGradEmIters": settings.em_iterations,
        "rlnGradHasConverged": 0,
        "rlnGradCurrentStepsize": schedules.step_size(settings, max(iteration, 1)),
        "rlnGradSubsetOrder": 0,
        "rlnGradSuspendFinerSamplingIter": -1,
        "rlnGradSuspendLocalSamplingIter": -1,
        "rlnSgdInitialIterationsFraction": settings.ini_fraction,
        "rlnSgdFinalIterationsFraction": settings.fin_fraction,
        "rlnSgdMinimumResolution": 20.0,
        "rlnSgdInitialResolution": -1.0,
        "rlnSgdFinalResolution": -1.0,
        "rlnSgdInitialSubsetSize": settings.ini_subset,
        "rlnSgdFinalSubsetSize": settings.fin_subset,
        "rlnSgdMuFactor": settings.mu,
        "rlnSgdSkipAnneal": 0,
        "rlnSgdClassInactivityThreshold": settings.inactivity_threshold,
        "rlnSgdSubsetSize": -1,
        "rlnSgdWriteEverySubset": settings.write_every,
        "rlnSgdStepsize": settings.step_size,
        "rlnSgdStepsizeScheme": "",
        "rlnTau2FudgeScheme": "",
        "rlnTau2FudgeArg": settings.tau2_fudge,
        "rlnMaximumSignificantPoses": settings.max_significants,
    }


def _automation(settings: RefinementSettings) -> dict[str, Any]:
    return {
        "rlnDoAutoRefine": settings.auto_refine,
        "rlnDoAutoSampling": settings.auto_sampling,
        "rlnAutoLocalSearchesHealpixOrder": settings.auto_local_healpix_order,
    }


def _progress(model: Model, changes: Changes, sampling: SamplingState | None, pixel_size: float, converged: bool) -> dict[str, Any]:
    edge = max(model.current_size // 2 - 1, 0)
    high_fsc = len(model.fsc) > edge and model.fsc[edge] > HIGH_FSC
    return {
        "rlnNumberOfIterWithoutResolutionGain": model.iterations_without_gain,
        "rlnBestResolutionThusFar": model.best_resolution_shell / (model.box * pixel_size),
        "rlnNumberOfIterWithoutChangingAssignments": sampling.iterations_without_changes if sampling else 0,
        "rlnOverallAccuracyRotations": float(model.accuracy_rotation.min()),
        "rlnOverallAccuracyTranslationsAngst": float(model.accuracy_translation.min()),
        "rlnChangesOptimalOrientations": changes.orientations,
        "rlnChangesOptimalOffsets": changes.offsets,
        "rlnChangesOptimalClasses": changes.classes,
        "rlnSmallestChangesOrientations": sampling.smallest_orientations if sampling else NO_ANGLE,
        "rlnSmallestChangesOffsets": sampling.smallest_offsets if sampling else NO_OFFSET,
        "rlnSmallestChangesClasses": int(sampling.smallest_classes if sampling else NO_CLASS),
        "rlnLocalSymmetryFile": "None",
        "rlnDoHelicalRefine": 0,
        "rlnHasConverged": converged,
        "rlnHasHighFscAtResolLimit": bool(high_fsc),
        "rlnHasLargeSizeIncreaseIterationsAgo": 0,
    }
