"""STAR files in RELION's dialect."""

from relion4plugin.files._star_read import Block, read_star
from relion4plugin.files._star_write import write_star

__all__ = ["Block", "read_star", "write_star"]
