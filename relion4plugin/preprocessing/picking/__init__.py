"""Particles found in micrographs: by blobs of a given size, by a neural network, and how good the picks are."""
