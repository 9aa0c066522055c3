"""Viewers of the plugin's protocols."""

from relion4plugin.viewers.class2d import R4pClassify2DViewer
from relion4plugin.viewers.maps import R4pMapViewer
from relion4plugin.viewers.rank import R4pRankViewer
from relion4plugin.viewers.volumes import R4pVolumesViewer

__all__ = ["R4pClassify2DViewer", "R4pMapViewer", "R4pRankViewer", "R4pVolumesViewer"]
