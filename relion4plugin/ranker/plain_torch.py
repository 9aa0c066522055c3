"""Files written by torch.save, read as plain data: tensors, numbers, text, lists and dictionaries."""

import io
import pickle
import struct
import warnings
from typing import Any

import torch

from relion4plugin.errors import UserError

# What torch's reader raises on code that it refuses, and on bytes that make no sense to it.
_FAULTS = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    LookupError,
    AttributeError,
    TypeError,
    ValueError,
    AssertionError,
    struct.error,
)


def load_plain(content: bytes, what: str, expected: str) -> dict[Any, Any]:
    """Return the dictionary in the bytes of a file; anything that would run code is refused.

    Parameters
    ----------
    content
        The file.
    what, expected
        Name of the file and what it should be, for messages.

    Raises
    ------
    UserError
        If the file is damaged, holds no dictionary, or would run code.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about unusual pickles, which are refused or read all the same
            loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except _FAULTS as error:
        raise UserError(f"{what}: not plain tensors, but damaged or a pickle that may run code, which is refused; {expected}") from error
    if not isinstance(loaded, dict):
        raise UserError(f"{what}: holds no named tensors; {expected}")
    return loaded
