"""The parameters of a training of the class ranker."""

from dataclasses import dataclass

from relion4plugin.jobs.parameters import parameter

_IO, _NETWORK, _OPTIMISATION, _AUGMENT, _JOB = "I/O", "Network", "Optimisation", "Augmentation", "Job stage"


@dataclass(frozen=True)
class TrainRankerParameters:
    """One training; shifts in px of the network's 64 px image."""

    samples: str = parameter(
        "", label="Training sets", section=_IO, short=("--i",), pattern="*.npz *.star *.pt", relion=False,
        help="Samples (.npz), a table of normalised features (.star), RELION's training dictionary (.pt) or a folder of labelled "
        "2D classifications; several joined by commas.",
    )
    image_root: str = parameter(
        "", label="Folder of image stacks", section=_IO, advanced=True, relion=False,
        help="To which the stacks that tables name are relative; empty for the folder of each table.",
    )
    weights: str = parameter(
        "", label="Start from weights", section=_IO, pattern="*.safetensors *.pt *.ckpt", relion=False,
        help="Go on from these weights; 'shipped' for those of this program, empty for a new network.",
    )
    valid_fraction: float = parameter(
        0.2, label="Part for validation", section=_IO, minimum=0.0, maximum=0.9, relion=False,
        help="Share of the samples that are not trained on; jobs and structures are never divided. 0 trains on all.",
    )
    keep_samples: bool = parameter(
        False, label="Keep the samples", section=_IO, relion=False, help="Write the joined training set as samples.npz, 8 bits per pixel.",
    )
    inputs: str = parameter(
        "both", label="Inputs", section=_NETWORK, choices=("both", "images", "features"), advanced=True, relion=False,
        help="What the network sees; the others are zero, to learn what they are worth.",
    )
    image_vector: int = parameter(
        48, label="Image vector", section=_NETWORK, minimum=1, maximum=4096, advanced=True, relion=False,
        help="Numbers into which the image is condensed, in a new network.",
    )
    hidden: int = parameter(
        48, label="Hidden layer", section=_NETWORK, minimum=1, maximum=4096, advanced=True, relion=False,
        help="Its width in a new network.",
    )
    dropout: float = parameter(
        0.3, label="Dropout", section=_NETWORK, minimum=0.0, maximum=0.9, relion=False,
        help="Share of elements that are dropped in training.",
    )
    clip: float = parameter(
        8.0, label="Limit of features", section=_NETWORK, minimum=1.0, advanced=True, relion=False,
        help="Largest magnitude of a normalised feature.",
    )
    epochs: int = parameter(60, label="Epochs", section=_OPTIMISATION, minimum=1, relion=False, help="Passes over all training samples.")
    batch: int = parameter(32, label="Batch", section=_OPTIMISATION, minimum=1, relion=False, help="Samples per step.")
    learning_rate: float = parameter(
        2e-4, label="Learning rate", section=_OPTIMISATION, minimum=1e-7, maximum=0.1, relion=False, help="Of Adam at the start.",
    )
    final_learning_rate: float = parameter(
        2e-5, label="Last learning rate", section=_OPTIMISATION, minimum=0.0, maximum=0.1, relion=False, help="Of Adam at the end.",
    )
    decay: str = parameter(
        "cosine", label="Decay", section=_OPTIMISATION, choices=("cosine", "linear", "constant"), relion=False,
        help="Course of the learning rate; constant stays at the first.",
    )
    weight_decay: float = parameter(
        5e-4, label="Weight decay", section=_OPTIMISATION, minimum=0.0, advanced=True, relion=False,
        help="Added to the gradient as that times the weight.",
    )
    ema: float = parameter(
        0.0, label="Running average", section=_OPTIMISATION, minimum=0.0, maximum=0.99999, relion=False,
        help="Decay per step of a running average of the weights, such as 0.999, which is kept if it fits better; 0 for none.",
    )
    balance: str = parameter(
        "none", label="Weights of samples", section=_OPTIMISATION, choices=("none", "score", "job"), relion=False,
        help="score: rare target scores count more; job: large jobs count less per class.",
    )
    seed: int = parameter(
        12, label="Random seed", section=_OPTIMISATION, minimum=0, relion=False,
        help="The same seed gives the same weights.",
    )
    nr_threads: int = parameter(
        2, label="Threads", section=_OPTIMISATION, option="--j", minimum=1, relion=False, help="1 or 2; the weights do not depend on it.",
    )
    rotate: bool = parameter(
        True, label="Turn and mirror", section=_AUGMENT, relion=False, help="Turn each image by any angle, and mirror half of them.",
    )
    shift: float = parameter(
        0.0, label="Shift", section=_AUGMENT, unit="px", minimum=0.0, maximum=16.0, relion=False, help="Largest displacement of an image.",
    )
    gain: float = parameter(
        1.0, label="Gain", section=_AUGMENT, minimum=1.0, maximum=4.0, relion=False,
        help="Grey values and their features are scaled by up to this factor or its inverse.",
    )
    offset: float = parameter(
        0.0, label="Offset", section=_AUGMENT, minimum=0.0, maximum=1.0, relion=False,
        help="Standard deviation of what is added to grey values and their features.",
    )
    feature_dropout: float = parameter(
        0.0, label="Samples without features", section=_AUGMENT, minimum=0.0, maximum=0.9, relion=False,
        help="Share of samples whose features are all zero, so that the network also learns from images alone.",
    )
    zoom: float = parameter(
        1.0, label="Zoom", section=_AUGMENT, minimum=1.0, maximum=2.0, relion=False,
        help="Images are enlarged by up to this factor or its inverse, as by another mask.",
    )
    do_calibrate: bool = parameter(
        False, label="Calibrate to 0.15", section=_OPTIMISATION, relion=False,
        help="Map the scores so that the best common threshold of the validation jobs becomes 0.15.",
    )
    job_folds: int = parameter(
        0, label="Parts for the job stage", section=_JOB, minimum=0, maximum=20, relion=False,
        help="Also train the stage that sees the whole job, on scores by networks that are trained without one of so many parts of "
        "the structures; 0 leaves it out, or keeps that of the weights that are started from.",
    )
    job_epochs: int = parameter(
        8, label="Epochs of the parts", section=_JOB, minimum=1, advanced=True, relion=False,
        help="Passes of each of these networks over its samples.",
    )
    keep_network: bool = parameter(
        False, label="Only the job stage", section=_JOB, advanced=True, relion=False,
        help="Leave the network of --weights as it is, and train the job stage only.",
    )
