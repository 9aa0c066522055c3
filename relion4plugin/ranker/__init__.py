"""Class ranker: features of 2D class averages, the network that scores them, its training, and selection by score."""
