import pytest

from relion4plugin.errors import UserError
from relion4plugin.schemes.model import Edge, Operator, SchemeJob, Variable
from relion4plugin.schemes.scheme_star import read_scheme_document, read_scheme_star, scheme_text

HEAD = "\n# version 30001\n\ndata_scheme_general\n\n_rlnSchemeName Schemes/a/\n_rlnSchemeCurrentNodeName WAIT\n\n"
FLOATS = "data_scheme_floats\n\nloop_\n_rlnSchemeFloatVariableName\n_rlnSchemeFloatVariableValue\n_rlnSchemeFloatVariableResetValue\n"
JOBS = "data_scheme_jobs\n\nloop_\n_rlnSchemeJobNameOriginal\n_rlnSchemeJobName\n_rlnSchemeJobMode\n_rlnSchemeJobHasStarted\n"


def document(tmp_path, text):
    path = tmp_path / "scheme.star"
    path.write_text(text)
    return read_scheme_document(path)


def test_a_scheme_written_by_relion_comes_out_byte_for_byte(shared_data):
    folder = shared_data / "star" / "schemes_cnio_relion4"
    assert scheme_text(read_scheme_star(folder / "proc" / "scheme.star")) == (folder / "proc" / "scheme.star").read_text()
    edited = (folder / "prep" / "scheme.star").read_text()  # by hand: one row has other blanks
    assert scheme_text(read_scheme_star(folder / "prep" / "scheme.star")).split() == edited.split()


def test_all_published_schemes_round_trip(shared_data, tmp_path):
    paths = sorted((shared_data / "star").glob("**/scheme.star"))
    assert len(paths) >= 3
    for path in paths:
        scheme = read_scheme_star(path)
        assert scheme.edges and scheme.operators and scheme.jobs
        assert document(tmp_path, scheme_text(scheme)).scheme == scheme, path


def test_what_stands_in_a_real_scheme(shared_data):
    scheme = read_scheme_star(shared_data / "star" / "schemes_cnio_relion4" / "proc" / "scheme.star")
    assert (scheme.name, scheme.short_name, scheme.current_node, scheme.start_node) == ("Schemes/proc/", "proc", "WAIT", "WAIT")
    assert scheme.floats["min_nr_parts_3d"] == Variable(5000.0, 5000.0)
    assert scheme.bools["do_3d"] == Variable(True, True)
    assert scheme.strings["topaz_model"] == Variable("", "")
    assert scheme.operators["CHECK_do_3d"] == Operator("CHECK_do_3d", "bool=ge", "do_3d", "current_nr_parts", "min_nr_parts_3d")
    assert scheme.jobs["class2d"] == SchemeJob("class2d", "class2d", "new", False)
    assert scheme.edges[2] == Edge("HAS_ctffind", "WAIT", True, "select_mics", "has_ctffind")


def test_placeholders_and_words_for_booleans_are_read_with_a_remark(tmp_path):
    text = HEAD + FLOATS + "n XXX_size_XXX 3\nm 5pixels 5\nlarge 1.665273e+06 inf\n\n" + JOBS + "a Import/job001/ continue True\n"
    found = document(tmp_path, text)
    assert found.scheme.floats == {"n": Variable(0.0, 3.0), "m": Variable(5.0, 5.0), "large": Variable(1665273.0, float("inf"))}
    assert found.scheme.jobs["a"].has_started
    assert [(remark.line, remark.text.split("'")[1]) for remark in found.remarks] == [(15, "XXX_size_XXX"), (16, "5pixels"), (26, "True")]


def test_ghost_rows_and_relion5_and_unknown_tables_are_kept(tmp_path):
    text = HEAD.replace("30001", "50001") + JOBS + 'train_topaz "" "" 0\nb "" "" 1\n\ndata_own_notes\n\n_note "two words"\n\n'
    scheme = document(tmp_path, text).scheme
    assert scheme.jobs["train_topaz"] == SchemeJob("train_topaz", "", "", False)
    assert scheme.version == 50001
    again = document(tmp_path, scheme_text(scheme)).scheme
    assert again.jobs == scheme.jobs and again.version == 50001
    assert again.unknown[0].value("note") == "two words"


def test_tables_are_sorted_but_edges_keep_their_order(tmp_path):
    edges = "data_scheme_edges\n\nloop_\n_rlnSchemeEdgeInputNodeName\n_rlnSchemeEdgeOutputNodeName\n_rlnSchemeEdgeIsFork\nB A 0\nA B 0\n\n"
    scheme = document(tmp_path, HEAD + FLOATS + "b 1 1\nB 1 1\na 1 1\n\n" + edges).scheme
    assert scheme.edges == (Edge("B", "A"), Edge("A", "B"))
    text = scheme_text(scheme)
    assert text.index("\n         B") < text.index("\n         a") < text.index("\n         b")  # byte order
    assert document(tmp_path, text).scheme == scheme


def test_a_missing_slash_and_missing_operator_fields_are_repaired(tmp_path):
    labels = "_rlnSchemeOperatorName\n_rlnSchemeOperatorType\n_rlnSchemeOperatorInput1\n"
    operators = f'data_scheme_operators\n\nloop_\n{labels}EXIT exit ""\n\n'
    found = document(tmp_path, HEAD.replace("Schemes/a/", "Schemes/a") + operators)
    assert found.scheme.name == "Schemes/a/"
    assert found.scheme.operators["EXIT"] == Operator("EXIT", "exit")
    assert "lacks its last slash" in found.remarks[0].text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data_particles\n_x 1\n", "no block data_scheme_general"),
        ("data_schedule_general\n_rlnScheduleName a\n", "a schedule of RELION 3.1"),
        ("data_scheme_general\n_rlnSchemeCurrentNodeName A\n", "no rlnSchemeName"),
        (HEAD + FLOATS + "n 1\n", "line 15: 2 values, expected 3"),
    ],
)
def test_damaged_files_are_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        document(tmp_path, text)
