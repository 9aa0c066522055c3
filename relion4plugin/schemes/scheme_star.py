"""scheme.star: the file of a scheme and its state, as RELION 4 and 5 read and write it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.star_text import RELION4, TextTable, float_text, list_block, loop, read_tables, tables_text
from relion4plugin.schemes.model import UNDEFINED, Edge, Operator, Scheme, SchemeJob, Variable
from relion4plugin.schemes.variables import number_prefix, parse_bool, whole_number_text

GENERAL = ("rlnSchemeName", "rlnSchemeCurrentNodeName")
FLOATS = ("rlnSchemeFloatVariableName", "rlnSchemeFloatVariableValue", "rlnSchemeFloatVariableResetValue")
BOOLS = ("rlnSchemeBooleanVariableName", "rlnSchemeBooleanVariableValue", "rlnSchemeBooleanVariableResetValue")
STRINGS = ("rlnSchemeStringVariableName", "rlnSchemeStringVariableValue", "rlnSchemeStringVariableResetValue")
OPERATORS = (
    "rlnSchemeOperatorName",
    "rlnSchemeOperatorType",
    "rlnSchemeOperatorOutput",
    "rlnSchemeOperatorInput1",
    "rlnSchemeOperatorInput2",
)
JOBS = ("rlnSchemeJobNameOriginal", "rlnSchemeJobName", "rlnSchemeJobMode", "rlnSchemeJobHasStarted")
EDGES = (
    "rlnSchemeEdgeInputNodeName",
    "rlnSchemeEdgeOutputNodeName",
    "rlnSchemeEdgeIsFork",
    "rlnSchemeEdgeOutputNodeNameIfTrue",
    "rlnSchemeEdgeBooleanVariable",
)
_LABELS = {
    "scheme_general": GENERAL,
    "scheme_floats": FLOATS,
    "scheme_bools": BOOLS,
    "scheme_strings": STRINGS,
    "scheme_operators": OPERATORS,
    "scheme_jobs": JOBS,
    "scheme_edges": EDGES,
}
_OLD_FILE = "data_schedule_general"


@dataclass(frozen=True)
class Remark:
    """Something in a file that was read otherwise than it stands there."""

    line: int
    text: str


@dataclass(frozen=True)
class SchemeDocument:
    """A scheme as read from a file, with where each thing stands.

    `lines` maps (table, name) to a line number, for example ("scheme_floats", "wait_sec"); edges are named by their
    position ("0", "1", ...).
    """

    path: Path
    scheme: Scheme
    lines: dict[tuple[str, str], int]
    remarks: tuple[Remark, ...]


class _Reader:
    """Turns tables into a scheme, noting lines and remarks."""

    def __init__(self, tables: dict[str, TextTable]) -> None:
        self.tables = tables
        self.lines: dict[tuple[str, str], int] = {}
        self.remarks: list[Remark] = []

    def rows(self, name: str) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Give line and values of each row of a table; rows without a name are left out."""
        table = self.tables.get(name)
        if table is None:
            return
        for label in table.labels:
            if label not in _LABELS[name]:
                self.remark(table.lines[0] if table.lines else 0, f"unknown column {label} in {name} is ignored")
        for i, (line, row) in enumerate(zip(table.lines, table.columns(*_LABELS[name]), strict=True)):
            key = (name, str(i) if name == "scheme_edges" else row[0])
            if key in self.lines:
                self.remark(line, f"{row[0]} stands twice in {name}; the last row counts")
            self.lines[key] = line
            yield line, tuple("" if value == '""' else value for value in row)

    def remark(self, line: int, text: str) -> None:
        self.remarks.append(Remark(line, text))

    def flag(self, line: int, text: str) -> bool:
        if text in ("0", "1"):
            return text == "1"
        value = parse_bool(text)
        self.remark(line, f"'{text}' where 0 or 1 is expected; read as {value or False} (RELION reads False)")
        return value or False

    def number(self, line: int, text: str) -> float:
        value = whole_number_text(text)
        if value is None:
            value = number_prefix(text) or 0.0
            self.remark(line, f"'{text}' where a number is expected; read as {value:g}")
        return value

    def scheme(self, path: Path) -> Scheme:
        general = self.tables["scheme_general"]
        name = general.value("rlnSchemeName")
        self.lines |= {("scheme_general", label): general.line(label) for label in GENERAL}
        if not name.strip("/"):
            raise UserError(f"{path} has no rlnSchemeName in data_scheme_general; expected a directory such as Schemes/prep/")
        if not name.endswith("/"):
            self.remark(general.line("rlnSchemeName"), f"rlnSchemeName {name} lacks its last slash; one was added")
        scheme_version = max(general.version, RELION4)
        flag, number = self.flag, self.number
        return Scheme(
            name=name.rstrip("/") + "/",
            current_node=general.value("rlnSchemeCurrentNodeName") or UNDEFINED,
            floats={row[0]: Variable(number(at, row[1]), number(at, row[2] or row[1])) for at, row in self.rows("scheme_floats")},
            bools={row[0]: Variable(flag(at, row[1]), flag(at, row[2] or row[1])) for at, row in self.rows("scheme_bools")},
            strings={row[0]: Variable(row[1], row[2]) for _, row in self.rows("scheme_strings")},
            operators={row[0]: Operator(*(field or UNDEFINED for field in row)) for _, row in self.rows("scheme_operators")},
            jobs={row[0]: SchemeJob(row[0], row[1], row[2], flag(at, row[3])) for at, row in self.rows("scheme_jobs")},
            edges=tuple(
                Edge(row[0], row[1] or UNDEFINED, flag(at, row[2]), row[3] or UNDEFINED, row[4] or UNDEFINED)
                for at, row in self.rows("scheme_edges")
            ),
            version=scheme_version,
            unknown=tuple(table for name, table in self.tables.items() if name not in _LABELS),
        )


def read_scheme_document(path: Path) -> SchemeDocument:
    """Read a scheme.star with line numbers and remarks.

    Raises
    ------
    UserError
        If the file is missing or is no scheme.star; with the line number where there is one.
    """
    tables = read_tables(path)
    if "scheme_general" not in tables:
        old = "; this is a schedule of RELION 3.1" if _OLD_FILE[5:] in tables else ""
        raise UserError(f"{path} has no block data_scheme_general: expected the scheme.star of RELION 4 or 5{old}")
    reader = _Reader(tables)
    scheme = reader.scheme(path)
    return SchemeDocument(path, scheme, reader.lines, tuple(reader.remarks))


def read_scheme_star(path: Path) -> Scheme:
    """Read a scheme.star.

    Raises
    ------
    UserError
        If the file is missing or is no scheme.star.
    """
    return read_scheme_document(path).scheme


def _flag_text(value: bool) -> str:
    return "1" if value else "0"


def _float_rows(scheme: Scheme) -> Iterable[tuple[str, ...]]:
    return [(name, float_text(v.value), float_text(v.reset)) for name, v in sorted(scheme.floats.items())]


def scheme_text(scheme: Scheme) -> str:
    """Return the text of the scheme.star: variables, operators and jobs sorted by name, edges in their order.

    Floats whose value RELION's seven digits would change are printed with more digits.

    Raises
    ------
    UserError
        If a text cannot be expressed in a STAR file.
    """
    version = scheme.version
    bools = [(name, _flag_text(v.value), _flag_text(v.reset)) for name, v in sorted(scheme.bools.items())]
    strings = [(name, v.value, v.reset) for name, v in sorted(scheme.strings.items())]
    operators = [(name, op.type, op.output, op.input1, op.input2) for name, op in sorted(scheme.operators.items())]
    jobs = [(name, job.name, job.mode, _flag_text(job.has_started)) for name, job in sorted(scheme.jobs.items())]
    edges = [(e.source, e.target, _flag_text(e.is_fork), e.target_if_true, e.boolean) for e in scheme.edges]
    tables = (
        list_block("scheme_general", dict(zip(GENERAL, (scheme.name, scheme.current_node), strict=True)), version),
        loop("scheme_floats", FLOATS, _float_rows(scheme), version, FLOATS[1:]),
        loop("scheme_bools", BOOLS, bools, version, BOOLS[1:]),
        loop("scheme_strings", STRINGS, strings, version),
        loop("scheme_operators", OPERATORS, operators, version),
        loop("scheme_jobs", JOBS, jobs, version, JOBS[3:]),
        loop("scheme_edges", EDGES, edges, version, EDGES[2:3]),
        *scheme.unknown,
    )
    return tables_text(tables)
