"""The optimiser table: all settings and the progress of a run under RELION's labels."""

from pathlib import Path
from typing import Any

from relion4plugin.refinement import schedules
from relion4plugin.refinement.images import MASK_EDGE
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from relion4plugin.refinement.state import Changes, Model


def optimiser_table(
    out_dir: Path,
    name: str,
    iteration: int,
    settings: RefinementSettings,
    model: Model,
    changes: Changes,
    sampled: bool,
    pixel_size: float,
) -> dict[str, Any]:
    """Return data_optimiser_general of an iteration; `sampled` tells whether a sampling file was written."""
    gradient = settings.algorithm is Algorithm.VDAM
    return {
        "rlnOutputRootName": str(out_dir / "run"),
        "rlnModelStarFile": f"{name}_model.star",
        "rlnExperimentalDataStarFile": f"{name}_data.star",
        "rlnOrientSamplingStarFile": f"{name}_sampling.star" if sampled else "None",
        "rlnCurrentIteration": iteration,
        "rlnNumberOfIterations": settings.n_iterations,
        **_search(settings),
        **_gradient(settings, gradient, iteration),
        **_progress(model, changes, pixel_size),
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
        "rlnDoSplitRandomHalves": 0,
        "rlnJoinHalvesUntilThisResolution": -1.0,
        "rlnAdaptiveOversampleOrder": settings.oversampling,
        "rlnAdaptiveOversampleFraction": settings.adaptive_fraction,
        "rlnRandomSeed": settings.seed,
        "rlnParticleDiameter": settings.particle_diameter,
        "rlnWidthMaskEdge": int(MASK_EDGE),
        "rlnDoZeroMask": settings.zero_mask,
        "rlnDoSolventFlattening": settings.flatten_solvent,
        "rlnDoSolventFscCorrection": 0,
        "rlnSolventMaskName": "None",
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


def _progress(model: Model, changes: Changes, pixel_size: float) -> dict[str, Any]:
    return {
        "rlnDoAutoRefine": 0,
        "rlnDoAutoSampling": 0,
        "rlnAutoLocalSearchesHealpixOrder": 4,
        "rlnNumberOfIterWithoutResolutionGain": model.iterations_without_gain,
        "rlnBestResolutionThusFar": model.best_resolution_shell / (model.box * pixel_size),
        "rlnNumberOfIterWithoutChangingAssignments": 0,
        "rlnOverallAccuracyRotations": float(model.accuracy_rotation.min()),
        "rlnOverallAccuracyTranslationsAngst": float(model.accuracy_translation.min()),
        "rlnChangesOptimalOrientations": changes.orientations,
        "rlnChangesOptimalOffsets": changes.offsets,
        "rlnChangesOptimalClasses": changes.classes,
        "rlnSmallestChangesOrientations": 999.0,
        "rlnSmallestChangesOffsets": 999.0,
        "rlnSmallestChangesClasses": 9999999,
        "rlnLocalSymmetryFile": "None",
        "rlnDoHelicalRefine": 0,
        "rlnHasConverged": 0,
        "rlnHasHighFscAtResolLimit": 0,
        "rlnHasLargeSizeIncreaseIterationsAgo": 0,
    }
