import numpy as np
import pandas as pd
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.model_maps import read_model_maps
from relion4plugin.files.mrc import write_volume
from relion4plugin.files.star import write_star


def write_model(folder, names, shares=None):
    table = pd.DataFrame(
        {
            "rlnReferenceImage": names,
            "rlnClassDistribution": shares or [1 / len(names)] * len(names),
            "rlnEstimatedResolution": [20.0 - i for i in range(len(names))],
        }
    )
    path = folder / "run_it010_model.star"
    write_star(path, {"model_general": {"rlnPixelSize": 3.5, "rlnNrClasses": len(names)}, "model_classes": table})
    return path


def test_maps_are_found_beside_the_model(tmp_path):
    names = [f"InitialModel/job001/run_it010_class{k:03d}.mrc" for k in (1, 2)]
    for k in (1, 2):
        write_volume(tmp_path / f"run_it010_class{k:03d}.mrc", np.zeros((8, 8, 8)), 3.5)
    first, second = read_model_maps(write_model(tmp_path, names, [0.7, 0.3]))
    assert (first.number, first.distribution, first.resolution, first.pixel_size) == (1, 0.7, 20.0, 3.5)
    assert second.path == tmp_path / "run_it010_class002.mrc"


@pytest.mark.parametrize(
    ("names", "message"), [(["gone.mrc"], "gone.mrc not found"), (["000001@classes.mrcs"], "images, not maps")]
)
def test_unusable_models_are_user_errors(names, message, tmp_path):
    with pytest.raises(UserError, match=message):
        read_model_maps(write_model(tmp_path, names))


def test_other_star_files_are_user_errors(tmp_path):
    write_star(tmp_path / "x.star", {"particles": pd.DataFrame({"rlnImageName": ["1@a"]})})
    with pytest.raises(UserError, match="data_model_classes"):
        read_model_maps(tmp_path / "x.star")
