"""The network that scores class averages: RELION 4's, with its published names of tensors."""

import torch
from torch import nn

from relion4plugin.ranker.dropout import Dropout
from relion4plugin.ranker.samples import IMAGE_SIZE, N_FEATURES

_WIDTHS = (16, 32, 64)
N_CNN_OUTPUT = 2 * _WIDTHS[-1] * (IMAGE_SIZE // 8) ** 2


class ClassRankerNet(nn.Module):
    """Score of a class average from its image and its features (RELION-4.0 paper, section 3.2).

    Three blocks of 3x3 convolutions, each halving the image, end in a vector of `image_vector` numbers. It is joined with the
    features and passes two fully connected layers. The output has no activation: scores slightly outside 0 to 1 are normal.
    Layers stand where RELION 4 has them, so that tensors of both are exchanged by name.

    Parameters
    ----------
    image_vector, hidden
        Widths of the image vector and of the hidden layer: 48 and 48 now, 512 and 128 in older weights.
    n_features
        Length of the feature vector.
    dropout
        Probability that an element is dropped in training.
    """

    def __init__(self, image_vector: int = 48, hidden: int = 48, n_features: int = N_FEATURES, dropout: float = 0.3) -> None:
        super().__init__()
        self.widths = (image_vector, hidden, n_features)
        self.dropout = dropout
        layers: list[nn.Module] = []
        for i, width in enumerate(_WIDTHS):
            layers += [
                nn.Conv2d(2 * _WIDTHS[i - 1] if i else 1, width, 3, padding=1),
                nn.ReLU(),
                Dropout(dropout),
                nn.Conv2d(width, width, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
                Dropout(dropout),
            ]
        self.cnn_layers = nn.Sequential(*layers)
        self.feature_extractor = nn.Sequential(nn.Linear(N_CNN_OUTPUT, image_vector))
        self.classifier_images_and_features = nn.Sequential(
            Dropout(dropout), nn.Linear(image_vector + n_features, hidden), nn.ReLU(), Dropout(dropout), nn.Linear(hidden, 1)
        )

    def forward(self, images: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Score classes.

        Parameters
        ----------
        images
            ``(n, 1, 64, 64)``, rows before columns.
        features
            ``(n, 24)``, normalised.

        Returns
        -------
        torch.Tensor
            ``(n, 1)``.
        """
        vector = self.feature_extractor(torch.flatten(self.cnn_layers(images), 1))
        scores: torch.Tensor = self.classifier_images_and_features(torch.cat([vector, features], dim=1))
        return scores
