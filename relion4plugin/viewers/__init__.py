"""Viewers of the plugin's protocols."""

from relion4plugin.viewers.class2d import R4pClassify2DViewer

__all__ = ["R4pClassify2DViewer"]
