import gzip
import io
import pickle
import warnings

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from relion4plugin.errors import UserError
from relion4plugin.ranker.network import ClassRankerNet
from relion4plugin.ranker.weights import load_weights, predict, save_weights

CARD = {"clip": 8.0, "gamma": 1.0, "inputs": "both"}


class Published(torch.nn.Module):
    """The published module: with two heads that are not used."""

    def __init__(self, image_vector: int = 48, hidden: int = 48) -> None:
        super().__init__()
        net = ClassRankerNet(image_vector, hidden, dropout=0.0)
        self.cnn_layers = torch.nn.Sequential(*(torch.nn.Identity() if type(m).__name__ == "Dropout" else m for m in net.cnn_layers))
        self.feature_extractor = net.feature_extractor
        last = net.classifier_images_and_features
        self.classifier_images_and_features = torch.nn.Sequential(
            torch.nn.Dropout(0.3), last[1], torch.nn.ReLU(), torch.nn.Dropout(0.3), last[4]
        )
        self.classifier_images = torch.nn.Sequential(torch.nn.Dropout(0.3), torch.nn.Linear(image_vector, 1))
        self.classifier_features = torch.nn.Sequential(
            torch.nn.Linear(24, 12), torch.nn.ReLU(), torch.nn.Dropout(0.3), torch.nn.Linear(12, 1)
        )

    def forward(self, images: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        vector = self.feature_extractor(self.cnn_layers(images).flatten(1))
        return self.classifier_images_and_features(torch.cat([vector, features], 1))


def inputs(n: int = 5) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    return random.standard_normal((n, 64, 64)).astype(np.float32), (20 * random.standard_normal((n, 24))).astype(np.float32)


def direct(module: torch.nn.Module, images: np.ndarray, features: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module(torch.from_numpy(images)[:, None], torch.from_numpy(features))[:, 0].double().numpy()


def write_published(path, module: torch.nn.Module) -> None:
    """As RELION 5 publishes weights: a gzip-compressed dictionary with the source of the module as text."""
    buffer = io.BytesIO()
    text = "open('/nowhere/made', 'w')"
    torch.save({"model_state_dict": module.state_dict(), "model_definition": text, "P_DROPOUT": 0.3, "train_losses": [0.1]}, buffer)
    path.write_bytes(gzip.compress(buffer.getvalue()))


def write_torchscript(path, module: torch.nn.Module) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(module.eval(), (torch.zeros(1, 1, 64, 64), torch.zeros(1, 24))), str(path))


@pytest.mark.parametrize("widths", [(48, 48), (512, 128)])
@pytest.mark.parametrize("writer", [write_published, write_torchscript])
def test_published_weights_score_as_the_published_module(tmp_path, writer, widths):
    torch.manual_seed(2)
    module = Published(*widths).eval()
    writer(tmp_path / "weights", module)
    ranker = load_weights(tmp_path / "weights")
    images, features = inputs()
    assert not ranker.own and ranker.net.widths[:2] == widths
    assert np.allclose(ranker.score(images, features), direct(module, images, features), atol=1e-5)


def test_plain_dictionary_of_tensors_loads(tmp_path):
    net = ClassRankerNet()
    torch.save(net.state_dict(), tmp_path / "w.ckpt")
    assert torch.equal(load_weights(tmp_path / "w.ckpt").net.state_dict()["cnn_layers.0.weight"], net.state_dict()["cnn_layers.0.weight"])


def test_wrapped_names_load(tmp_path):
    net = ClassRankerNet()
    torch.save({f"module.{name}": value for name, value in net.state_dict().items()}, tmp_path / "w.ckpt")
    assert torch.equal(load_weights(tmp_path / "w.ckpt").net.state_dict()["cnn_layers.5.bias"], net.state_dict()["cnn_layers.5.bias"])


def test_own_weights_return_with_their_card(tmp_path):
    net = ClassRankerNet()
    save_weights(tmp_path / "w.safetensors", net, {**CARD, "metrics": {"mse": 0.02}})
    ranker = load_weights(tmp_path / "w.safetensors")
    assert ranker.own and ranker.card["metrics"]["mse"] == 0.02 and ranker.card["format_version"] == 1
    images, features = inputs()
    masked = np.clip(features, -8, 8)
    masked[:, 15:21] = 0
    assert np.allclose(ranker.score(images, features), predict(net, images, masked))


def test_own_scores_are_calibrated_and_inputs_left_out(tmp_path):
    net = ClassRankerNet()
    images, features = inputs()
    save_weights(tmp_path / "w.safetensors", net, {**CARD, "gamma": 2.0, "inputs": "images"})
    raw = predict(net, images, np.zeros_like(features))
    assert np.allclose(load_weights(tmp_path / "w.safetensors").score(images, features), np.sign(raw) * raw**2)


def test_no_classes_have_no_scores():
    assert predict(ClassRankerNet(), np.zeros((0, 64, 64)), np.zeros((0, 24))).shape == (0,)


def test_score_does_not_depend_on_the_batch():
    net = ClassRankerNet()
    images, features = inputs(300)
    assert np.allclose(predict(net, images, features)[250:], predict(net, images[250:], features[250:]), atol=1e-6)


@pytest.mark.parametrize("compress", [False, True])
def test_pickle_with_code_is_refused_and_not_run(tmp_path, compress):
    made = tmp_path / "made"

    class Evil:
        def __reduce__(self):
            return (exec, (f"open({str(made)!r}, 'w').close()",))

    buffer = io.BytesIO()
    torch.save({"model_state_dict": Evil()}, buffer)
    for name, content in (("torch", buffer.getvalue()), ("plain", pickle.dumps(Evil()))):
        (tmp_path / name).write_bytes(gzip.compress(content) if compress else content)
        with pytest.raises(UserError, match="refused") as caught:
            load_weights(tmp_path / name)
        assert "\n" not in str(caught.value)
    assert not made.exists()


class _RunsAtLoading(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> bool:
        return self.training

    @torch.jit.export
    def __setstate__(self, state: bool) -> None:
        self.training = state
        print("running")


def test_torchscript_that_runs_at_loading_is_refused(tmp_path, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(_RunsAtLoading()), str(tmp_path / "w.pt"))
    capfd.readouterr()
    with pytest.raises(UserError, match="code of its own"):
        load_weights(tmp_path / "w.pt")
    assert "running" not in capfd.readouterr().out


def test_another_architecture_names_tensor_and_expected_shape(tmp_path):
    state = ClassRankerNet().state_dict()
    cases = {
        "cnn_layers.3.weight": (torch.zeros(16, 16, 5, 5), "(16, 16, 3, 3)"),
        "feature_extractor.0.weight": (torch.zeros(48, 2048), "(48, 8192)"),
        "classifier_images_and_features.1.weight": (torch.zeros(48, 66), "(48, 72)"),
        "cnn_layers.19.bias": (None, "(128,)"),
    }
    for name, (tensor, expected) in cases.items():
        changed = {key: value for key, value in state.items() if key != name} | ({} if tensor is None else {name: tensor})
        torch.save(changed, tmp_path / "w.ckpt")
        with pytest.raises(UserError) as caught:
            load_weights(tmp_path / "w.ckpt")
        assert name in str(caught.value) and expected in str(caught.value) and "\n" not in str(caught.value)
    torch.save({"fc.weight": torch.zeros(3)}, tmp_path / "w.ckpt")
    with pytest.raises(UserError, match=r"feature_extractor\.0\.weight is missing"):
        load_weights(tmp_path / "w.ckpt")


def test_damaged_files_are_refused_in_one_line(tmp_path):
    net = ClassRankerNet()
    save_weights(tmp_path / "whole", net, CARD)
    whole = (tmp_path / "whole").read_bytes()
    write_torchscript(tmp_path / "script", Published())
    script = (tmp_path / "script").read_bytes()
    cases = {"short": whole[:5000], "empty": b"", "gz": gzip.compress(whole)[:900], "text": b"hello world, a text", "cut": script[:9000]}
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError) as caught:
            load_weights(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no such file"):
        load_weights(tmp_path / "missing")


def test_newer_or_unfinished_weights_are_refused(tmp_path):
    state = {name: value.contiguous() for name, value in ClassRankerNet().state_dict().items()}
    save_file(state, tmp_path / "new", metadata={"card": '{"format_version": 99, "clip": 8}'})
    save_file(state, tmp_path / "bare", metadata={"card": "{}"})
    save_file({**state, "cnn_layers.0.bias": torch.full((16,), float("nan"))}, tmp_path / "nan", metadata={"card": '{"clip": 8}'})
    for name, text in (("new", "newer"), ("bare", "clipped"), ("nan", "not finite")):
        with pytest.raises(UserError, match=text):
            load_weights(tmp_path / name)
