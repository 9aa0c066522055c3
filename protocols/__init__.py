"""Scipion protocols of the plugin; import them as ``relion4plugin.protocols``."""

from relion4plugin.protocols.protocol_classify_2d import ProtR4pClassify2D

__all__ = ["ProtR4pClassify2D"]
