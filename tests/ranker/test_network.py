import numpy as np
import pytest
import torch

from relion4plugin.ranker.dropout import Dropout, seed_dropout
from relion4plugin.ranker.network import ClassRankerNet


def test_names_and_numbers_of_parameters_are_those_published():
    net = ClassRankerNet()
    assert sum(p.numel() for p in net.parameters()) == 588_641
    assert sum(p.numel() for p in ClassRankerNet(512, 128).parameters()) == 4_455_505
    modules = {name.rsplit(".", 1)[0] for name in net.state_dict()}
    assert modules == {
        *(f"cnn_layers.{i}" for i in (0, 3, 5, 7, 10, 12, 14, 17, 19)),
        "feature_extractor.0",
        "classifier_images_and_features.1",
        "classifier_images_and_features.4",
    }


def test_output_is_that_of_the_layers_written_out():
    torch.manual_seed(1)
    net = ClassRankerNet(7, 5).eval()
    w = net.state_dict()
    images, features = torch.randn(3, 1, 64, 64), torch.randn(3, 24)
    x = images
    conv = torch.nn.functional.conv2d
    for first, second, third in ((0, 3, 5), (7, 10, 12), (14, 17, 19)):
        x = torch.relu(conv(x, w[f"cnn_layers.{first}.weight"], w[f"cnn_layers.{first}.bias"], padding=1))
        x = torch.relu(conv(x, w[f"cnn_layers.{second}.weight"], w[f"cnn_layers.{second}.bias"], padding=1))
        x = conv(x, w[f"cnn_layers.{third}.weight"], w[f"cnn_layers.{third}.bias"], padding=1, stride=2)
    assert x.shape == (3, 128, 8, 8)
    vector = x.reshape(3, -1) @ w["feature_extractor.0.weight"].T + w["feature_extractor.0.bias"]
    name = "classifier_images_and_features"
    middle = torch.relu(torch.cat([vector, features], 1) @ w[f"{name}.1.weight"].T + w[f"{name}.1.bias"])
    expected = middle @ w[f"{name}.4.weight"].T + w[f"{name}.4.bias"]
    with torch.no_grad():
        assert torch.allclose(net(images, features), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(40, 64), (8, 3, 20, 20)])
def test_dropout_keeps_the_mean_and_drops_the_wanted_share(shape):
    layer = Dropout(0.3).train()
    values = torch.ones(shape)
    dropped = layer(values)
    n = values.numel()
    assert abs(float((dropped == 0).float().mean()) - 77 / 256) < 4 * np.sqrt(0.21 / n)
    assert abs(float(dropped.mean()) - 1) < 4 * np.sqrt(0.43 / n)
    assert torch.equal(layer.eval()(values), values)


def test_dropout_is_repeated_by_its_seed_and_differs_between_layers():
    net = torch.nn.Sequential(Dropout(0.5), Dropout(0.5))
    ones = torch.ones(4, 2, 16, 16).contiguous(memory_format=torch.channels_last)
    seed_dropout(net, np.random.SeedSequence(3))
    first = [net[0](ones), net[1](ones)]
    seed_dropout(net, np.random.SeedSequence(3))
    assert torch.equal(net[0](ones), first[0])
    assert not torch.equal(first[0], first[1])
