"""Tensors of a network out of a weights file, without running anything that the file brings."""

import gzip
import io
import json
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from relion4plugin.errors import UserError
from relion4plugin.ranker.plain_torch import load_plain

_EXPECTED = "expected weights of a class ranker (.safetensors of this program, or .pt or .ckpt of RELION)"
_SAFETENSORS_HEADER = 8  # bytes that hold the length of the JSON header, which starts with "{"


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any] | None]:
    """Read all tensors of a weights file, whatever its kind.

    Kinds: safetensors; TorchScript archives; dictionaries written by ``torch.save``, also gzip-compressed.

    Returns
    -------
    tuple
        Tensors by name, and the model card: None for files that are not this program's.

    Raises
    ------
    UserError
        If the file is missing, of another kind, damaged, or needs code to be read.
    """
    if not path.is_file():
        raise UserError(f"weights {path}: no such file; {_EXPECTED}")
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
        if content[_SAFETENSORS_HEADER : _SAFETENSORS_HEADER + 1] == b"{":
            return _read_safetensors(path)
        return (_read_torchscript(path, content) if _is_torchscript(content) else _read_dictionary(path, content)), None
    except OSError as error:
        raise UserError(f"weights {path}: cannot be read ({error.strerror or error}); {_EXPECTED}") from error
    except (EOFError, zlib.error, zipfile.BadZipFile, SafetensorError, RuntimeError) as error:
        raise UserError(f"weights {path}: damaged or of an unknown kind ({_first_line(error)}); {_EXPECTED}") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160].rstrip(".")


def _read_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any] | None]:
    with safe_open(path, framework="pt", device="cpu") as archive:
        tensors = {name: archive.get_tensor(name) for name in archive.keys()}
        text = (archive.metadata() or {}).get("card")
    try:
        card = json.loads(text) if text is not None else None
    except json.JSONDecodeError as error:
        raise UserError(f"weights {path}: the model card is not JSON ({error}); copy the file again") from error
    return tensors, card


def _is_torchscript(content: bytes) -> bool:
    if content[:2] != b"PK":
        return False
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return any("/code/" in f"/{name}" or name.rsplit("/", 1)[-1] == "model.json" for name in archive.namelist())


def _read_torchscript(path: Path, content: bytes) -> dict[str, torch.Tensor]:
    # A TorchScript archive is read by torch's own interpreter, not by Python: it cannot name Python functions, and its module is
    # never called here. The one thing that loading would run is a __setstate__ method, which a traced network does not have.
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if any("/code/" in f"/{name}" and b"__setstate__" in archive.read(name) for name in archive.namelist()):
            raise UserError(f"weights {path}: the file runs code of its own when it is loaded, which is refused; {_EXPECTED}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the format, in which RELION 4 published its weights
        module = torch.jit.load(io.BytesIO(content), map_location="cpu")
    return {str(name): tensor.detach() for name, tensor in module.state_dict().items()}


def _read_dictionary(path: Path, content: bytes) -> dict[str, torch.Tensor]:
    loaded = load_plain(content, f"weights {path}", _EXPECTED)
    state = loaded.get("model_state_dict", loaded)
    tensors = {str(name): value for name, value in state.items() if isinstance(value, torch.Tensor)} if isinstance(state, dict) else {}
    if not tensors:
        raise UserError(f"weights {path}: holds no named tensors; {_EXPECTED}")
    return tensors
