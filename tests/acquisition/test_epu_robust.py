"""XML that is cut off, hostile, or written in another way: the same values, or a clear problem, never an error."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relion4plugin.acquisition.epu_fractions import read_epu_fractions
from relion4plugin.acquisition.epu_image import parse_epu_image, read_epu_image
from relion4plugin.acquisition.epu_session import read_epu_session
from relion4plugin.acquisition.xml_read import UnreadableXml, parse, read_bytes

_SAMPLES = ("epu_k3_session", "epu_falcon4i_eer", "epu_falcon3_afis")


def _image(shared_data, name):
    return sorted(path for path in (shared_data / "acquisition" / name).rglob("*_Data_*.xml") if "_Fractions" not in path.name)[0]


def _same(path, original, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    changed = read_epu_image(path)
    assert changed.values == original.values
    assert changed.problems == original.problems


@pytest.fixture(params=_SAMPLES)
def sample(request, shared_data, tmp_path):
    source = _image(shared_data, request.param)
    return tmp_path / source.name, read_epu_image(source), source.read_text(encoding="utf-8")


def test_line_ends_and_blanks_do_not_matter(sample):
    path, original, text = sample
    _same(path, original, text.replace("><", ">\r\n  <"))


def test_prefixes_do_not_matter(sample):
    path, original, text = sample
    text = re.sub(r"\bxmlns:a=", "xmlns:zz=", text)
    text = re.sub(r"(</?)a:", r"\1zz:", text)
    _same(path, original, text)


def test_types_of_values_do_not_matter(sample):
    path, original, text = sample
    _same(path, original, re.sub(r'i:type="b:(double|int|long|string|boolean)"', 'i:type="b:object"', text))


def test_other_namespaces_are_matched_by_local_name(sample):
    path, original, text = sample
    _same(path, original, text.replace("schemas.datacontract.org/2004/07", "schemas.example.org/2030"))


def test_order_of_elements_does_not_matter(sample):
    path, original, text = sample
    pairs = re.findall(r"<a:KeyValueOfstringanyType>.*?</a:KeyValueOfstringanyType>", text, re.DOTALL)
    block = "".join(pairs[:3])
    if block in text:
        _same(path, original, text.replace(block, "".join(reversed(pairs[:3]))))


def test_latin_1_that_calls_itself_utf_8_is_read(sample):
    path, original, text = sample
    _same(path, original, text.replace("<name>Empty</name>", "<name>Größe</name>"), "latin-1")


def test_utf_16_is_read(sample):
    path, original, text = sample
    _same(path, original, text, "utf-16")


def test_nil_elements_are_unknown(sample):
    path, original, text = sample
    path.write_text(re.sub(r"<(numericValue|AccelerationVoltage|Name|_x|NominalMagnification)>[^<]*</\1>", r'<\1 i:nil="true"/>', text))
    reading = read_epu_image(path)
    assert reading.problems == ()
    assert not {"voltage_kV", "image_px_A", "movie_px_A", "magnification"} & set(reading.values)
    assert reading.get("dose_total_eA2") == original.get("dose_total_eA2")


def test_empty_files_and_missing_files(tmp_path):
    path = tmp_path / "a.xml"
    assert "cannot be read" in read_epu_image(path).problems[0]
    for content in (b"", b"  \n", b"\x00\x00"):
        path.write_bytes(content)
        assert read_epu_image(path).problems and not read_epu_image(path).values


def test_entity_bombs_are_not_read(tmp_path):
    path = tmp_path / "a.xml"
    levels = "".join(f'<!ENTITY e{k} "{f"&e{k - 1};" * 10}">' for k in range(1, 12))
    bomb = f'<!DOCTYPE x [<!ENTITY e0 "lol">{levels}]><MicroscopeImage>&e11;</MicroscopeImage>'
    path.write_text(bomb)
    assert "entities" in read_epu_image(path).problems[0]
    path.write_bytes(bomb.encode("utf-16"))
    assert read_epu_image(path).problems and not read_epu_image(path).values


def test_files_of_others_are_not_opened(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("300000")
    text = f'<!DOCTYPE x [<!ENTITY s SYSTEM "file://{secret}">]><MicroscopeImage><name>&s;</name></MicroscopeImage>'
    (tmp_path / "a.xml").write_text(text)
    assert not read_epu_image(tmp_path / "a.xml").values


def test_huge_files_are_not_read(tmp_path):
    path = tmp_path / "a.xml"
    path.write_bytes(b"<a>" + b"x" * 100)
    with pytest.raises(UnreadableXml, match="larger than"):
        read_bytes(path, 50)


def test_deep_nesting_is_a_problem_not_a_crash(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text("<a>" * 100_000)
    assert read_epu_image(path).problems


@settings(max_examples=60)
@given(st.data())
def test_cut_off_anywhere(shared_data, data):
    content = _image(shared_data, "epu_falcon4i_eer").read_bytes()
    cut = data.draw(st.integers(0, len(content) - 2))
    with pytest.raises(UnreadableXml, match=r"early|not XML"):
        parse(content[:cut])


@settings(max_examples=60)
@given(st.data())
def test_bytes_changed_anywhere(shared_data, data):
    content = bytearray(_image(shared_data, "epu_k3_session").read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        root = parse(bytes(content))
    except UnreadableXml:
        return
    parse_epu_image(root, "x.xml")


@pytest.mark.parametrize("reader", [read_epu_session, read_epu_fractions])
def test_other_xml_files_that_are_cut_off(shared_data, tmp_path, reader):
    source = next((shared_data / "acquisition").rglob("EpuSession.dm" if reader is read_epu_session else "*_Fractions.xml"))
    content = source.read_bytes()
    for cut in (0, 1, 100, len(content) // 2, len(content) - 5):
        (tmp_path / "x").write_bytes(content[:cut])
        reading = reader(tmp_path / "x")
        assert reading.problems and not reading.values
    (tmp_path / "x").write_text("<other/>")
    assert "its root is <other>" in reader(tmp_path / "x").problems[0]
