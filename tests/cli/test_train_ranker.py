import json
import subprocess
import sys

from relion4plugin.cli.main import OK, USAGE, main
from relion4plugin.ranker.samples import write_samples
from relion4plugin.ranker.weights import load_weights
from tests.ranker.samples_for_tests import toy_samples

SMALL = ["--epochs", "1", "--batch", "8", "--image_vector", "8", "--hidden", "8", "--valid_fraction", "0.3", "--quiet"]


def test_train_and_continue(tmp_path, capsys):
    write_samples(tmp_path / "set.npz", toy_samples(30))
    words = ["train-ranker", "--samples", str(tmp_path / "set.npz"), "--o", str(tmp_path / "job"), *SMALL]
    assert main([*words, "--json"]) == OK
    printed = json.loads(capsys.readouterr().out)
    assert load_weights(printed["outputs"]["weights"]).own and printed["outputs"]["n_train"] + printed["outputs"]["n_valid"] == 30
    assert main(words) == USAGE
    assert capsys.readouterr().err.startswith("error: ") and main([*words, "--continue"]) == OK
    assert "mean square error" in capsys.readouterr().out


def test_help_does_not_need_torch():
    code = (
        "import sys\nfrom relion4plugin.cli.main import main\n"
        "try:\n    main(['train-ranker', '--help'])\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--learning_rate" in done.stdout
