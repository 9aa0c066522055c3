"""The list of files that a job declares when it ends, because nobody knew them before."""

from collections.abc import Mapping
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.files.star_text import loop, read_tables, tables_text

OUTPUT_NODES = "RELION_OUTPUT_NODES.star"
_TABLE, _NAME, _KIND = "output_nodes", "rlnPipeLineNodeName", "rlnPipeLineNodeTypeLabel"


def read_output_nodes(directory: Path) -> dict[str, str]:
    """Return the files (name -> kind) that a job declares; empty where it declares none.

    Raises
    ------
    UserError
        If the list is damaged.
    """
    path = directory / OUTPUT_NODES
    if not path.exists():
        return {}
    table = read_tables(path).get(_TABLE)
    if table is None or not {_NAME, _KIND} <= set(table.labels):
        raise UserError(f"{path} needs a block data_{_TABLE} with the columns {_NAME} and {_KIND}: expected the list of files of a job")
    return {name: kind for name, kind in table.columns(_NAME, _KIND)}  # noqa: C416


def write_output_nodes(directory: Path, nodes: Mapping[str, str]) -> None:
    """Declare files (name -> kind in RELION 4's words)."""
    atomic_write_text(directory / OUTPUT_NODES, tables_text([loop(_TABLE, (_NAME, _KIND), list(nodes.items()))]))
