"""Scipion protocols of the plugin; import them as ``relion4plugin.protocols``."""

from relion4plugin.protocols.protocol_acquisition import ProtR4pAcquisition
from relion4plugin.protocols.protocol_classify_2d import ProtR4pClassify2D
from relion4plugin.protocols.protocol_classify_3d import ProtR4pClassify3D
from relion4plugin.protocols.protocol_ctf_estimation import ProtR4pCtfEstimation
from relion4plugin.protocols.protocol_extract_particles import ProtR4pExtractParticles
from relion4plugin.protocols.protocol_initial_model import ProtR4pInitialModel
from relion4plugin.protocols.protocol_mask import ProtR4pCreateMask
from relion4plugin.protocols.protocol_motion_correction import ProtR4pMotionCorrection
from relion4plugin.protocols.protocol_pick_log import ProtR4pPickLog
from relion4plugin.protocols.protocol_pick_topaz import ProtR4pPickTopaz
from relion4plugin.protocols.protocol_postprocess import ProtR4pPostprocess
from relion4plugin.protocols.protocol_rank_classes import ProtR4pRankClasses
from relion4plugin.protocols.protocol_refine_3d import ProtR4pRefine3D
from relion4plugin.protocols.protocol_run_scheme import ProtR4pRunScheme
from relion4plugin.protocols.protocol_stream_classify_2d import ProtR4pStreamClassify2D
from relion4plugin.protocols.protocol_symmetry import ProtR4pSymmetry

__all__ = [
    "ProtR4pAcquisition",
    "ProtR4pClassify2D",
    "ProtR4pClassify3D",
    "ProtR4pCreateMask",
    "ProtR4pCtfEstimation",
    "ProtR4pExtractParticles",
    "ProtR4pInitialModel",
    "ProtR4pMotionCorrection",
    "ProtR4pPickLog",
    "ProtR4pPickTopaz",
    "ProtR4pPostprocess",
    "ProtR4pRankClasses",
    "ProtR4pRefine3D",
    "ProtR4pRunScheme",
    "ProtR4pStreamClassify2D",
    "ProtR4pSymmetry",
]
