"""XML of microscope software: safe to parse, found by namespace or, where a program renamed it, by local name."""

import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lxml import etree

NAMESPACES: Mapping[str, str] = {
    "SO": "http://schemas.datacontract.org/2004/07/Fei.SharedObjects",
    "AR": "http://schemas.microsoft.com/2003/10/Serialization/Arrays",
    "TY": "http://schemas.datacontract.org/2004/07/Fei.Types",
    "DR": "http://schemas.datacontract.org/2004/07/System.Drawing",
    "OM": "http://schemas.datacontract.org/2004/07/Fei.Applications.Common.Omp.Interface",
    "WM": "http://schemas.datacontract.org/2004/07/System.Windows.Media",
}
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
_NIL = f"{{{INSTANCE}}}nil"
_BOOLEANS = {"true": True, "1": True, "on": True, "yes": True, "false": False, "0": False, "off": False, "no": False}


class UnreadableXml(Exception):
    """A file that cannot be read as XML; the text says why in one line."""


def _parser(encoding: str | None = None) -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True, encoding=encoding
    )


def read_bytes(path: str | os.PathLike[str], limit: int) -> bytes:
    """Return the content of a file of at most `limit` bytes.

    Raises
    ------
    UnreadableXml
        If it cannot be read, is empty or larger.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise UnreadableXml(f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    if len(data) > limit:
        raise UnreadableXml(f"is larger than {limit} bytes, more than any metadata file; it is not read")
    if not data.strip():
        raise UnreadableXml("is empty (not written yet?)")
    return data


def parse(data: bytes) -> Any:
    """Return the root element.

    Raises
    ------
    UnreadableXml
        If the text is not whole, or declares a document type: metadata never does, and entities can be used to attack.
    """
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise UnreadableXml("declares a document type or entities, which metadata never does; it is not read")
    try:
        root = etree.fromstring(data, _parser())
    except etree.XMLSyntaxError as error:
        root = _parse_other_encoding(data, error)
    except (ValueError, LookupError) as error:
        raise UnreadableXml(f"is not XML: {error}") from error
    if root is None or root.getroottree().docinfo.internalDTD is not None:
        raise UnreadableXml("declares a document type, which metadata never does; it is not read")
    return root


def _parse_other_encoding(data: bytes, error: etree.XMLSyntaxError) -> Any:
    """Bytes that are not UTF-8 although the file says so are taken as latin-1."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        try:
            return etree.fromstring(data, _parser("iso-8859-1"))
        except (etree.XMLSyntaxError, ValueError) as second:
            error = second if isinstance(second, etree.XMLSyntaxError) else error
    if not data.rstrip().endswith(b">") or "Premature end" in str(error) or "EndTag" in str(error):
        raise UnreadableXml("ends too early: it is half-written or cut off") from error
    raise UnreadableXml(f"is not XML: {error.msg}") from error


def read_xml(path: str | os.PathLike[str], limit: int = 1 << 24) -> Any:
    """Return the root element of a file; see `read_bytes` and `parse` for what is refused."""
    return parse(read_bytes(Path(path), limit))


def local_name_of(tag: str) -> str:
    """Return the name of a tag or attribute without its namespace."""
    return tag.rpartition("}")[2]


def local_name(node: Any) -> str:
    """Return the name of an element without its namespace."""
    return local_name_of(node.tag) if isinstance(node.tag, str) else ""


def is_nil(node: Any) -> bool:
    """Tell whether an element is there but says nothing (``nil="true"``)."""
    if not len(node.attrib):
        return False
    if node.get(_NIL) is not None:
        return bool(node.get(_NIL) == "true")
    return any(local_name_of(name) == "nil" and text == "true" for name, text in node.attrib.items())


def child(node: Any, name: str) -> Any:
    """Return a child that is not nil, or None. `name` is a local name, with a prefix of `NAMESPACES` or 'SO' if it has none."""
    prefix, _, local = name.rpartition(":")
    found = node.find(f"{{{NAMESPACES[prefix or 'SO']}}}{local}")
    if found is None:
        found = next((item for item in node if local_name(item) == local), None)
    return None if found is None or is_nil(found) else found


def find(node: Any, path: str) -> Any:
    """Return the element at a path of names separated by '/' (see `child`), or None."""
    for name in path.split("/"):
        if node is None:
            return None
        node = child(node, name)
    return node


def text(node: Any, path: str = "") -> str | None:
    """Return the stripped text of the element at `path`, None if there is none."""
    found = find(node, path) if path else node
    if found is None or found.text is None:
        return None
    return found.text.strip() or None


def number(words: str | None) -> float | None:
    """Return a finite number; a decimal comma is taken as a point; None for anything else."""
    if words is None:
        return None
    try:
        value = float(words.replace(",", ".") if words.count(",") == 1 and "." not in words else words)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def integer(words: str | None) -> int | None:
    """Return a whole number, None for anything else."""
    value = number(words)
    return int(value) if value is not None and value == int(value) else None


def flag(words: str | None) -> bool | None:
    """Return True or False for the usual words, None for anything else."""
    return None if words is None else _BOOLEANS.get(words.strip().lower())


def pair(node: Any, path: str, first: str, second: str) -> tuple[float, float] | None:
    """Return the numbers of two children of the element at `path`, None unless both are there."""
    found = find(node, path)
    if found is None:
        return None
    values = number(text(found, first)), number(text(found, second))
    return None if values[0] is None or values[1] is None else (values[0], values[1])


def key_values(node: Any) -> Iterator[tuple[str, Any]]:
    """Yield key and value element of a list of .NET key-value pairs; nil values are left out."""
    for item in () if node is None else node:
        key, value = None, None
        for part in item:
            name = local_name(part)
            if name in ("Key", "key"):
                key = part.text
            elif name in ("Value", "value"):
                value = part
        if key and value is not None and not is_nil(value):
            yield key.strip(), value


def base_name(path: str) -> str:
    """Return the last part of a Windows or POSIX path."""
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]
