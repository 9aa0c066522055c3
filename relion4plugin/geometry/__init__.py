"""Orientations: Euler angles, directions on the sphere and point groups."""
