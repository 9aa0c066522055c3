"""Correction of beam-induced motion in movies."""
