"""Simulated particle images with known truth: density, projection, CTF, noise and junk."""
