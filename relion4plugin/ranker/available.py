"""Whether the libraries of the network are installed."""

import importlib.util

from relion4plugin.errors import UserError


def require_torch() -> None:
    """Check that torch and safetensors can be imported.

    Raises
    ------
    UserError
        If they are not installed.
    """
    missing = [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"{missing[0]} is not installed, which the class ranker needs: pip install torch safetensors")
