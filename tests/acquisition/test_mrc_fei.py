"""Extended headers FEI1 and FEI2: a real header, and synthetic ones made from the layout of the format."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relion4plugin.acquisition.mrc_fei import read_fei_header
from tests.acquisition.samples import close

# Synthetic: offset, format, value, bit mask number and bit of each field.
_SYNTHETIC = [
    (12, "d", 45000.25, 1, 0), (36, "16s", b"9953405", 1, 2), (84, "d", 200000.0, 1, 5), (92, "d", 4.2e21, 1, 6),
    (156, "d", 8.7e-11, 1, 14),
    (220, "d", -2.1e-6, 1, 22), (236, "d", -1.5e-6, 1, 24), (289, "d", 120000.0, 1, 31), (309, "i", 5, 2, 1), (354, "?", True, 2, 7),
    (355, "d", 20.0, 2, 8), (387, "d", 0.01, 2, 12), (395, "d", -0.02, 2, 13), (403, "d", 0.3, 2, 14), (411, "d", -0.4, 2, 15),
    (419, "d", 3.5, 2, 16), (427, "i", 1, 2, 17), (435, "16s", b"BM-Falcon", 2, 19), (472, "?", True, 2, 26), (518, "?", False, 3, 6),
]  # fmt: skip
_MASK_AT = {1: 8, 2: 297, 3: 490, 4: 748}


def _header(kind=b"FEI1", order="<", fields=_SYNTHETIC, masked=()):
    size = 768 if kind == b"FEI1" else 888
    main = bytearray(1024)
    struct.pack_into(f"{order}4i", main, 0, 64, 48, 2, 1)
    struct.pack_into(f"{order}i", main, 28, 64)
    struct.pack_into(f"{order}f", main, 40, 64.0)
    struct.pack_into(f"{order}i", main, 92, size * 1024)
    main[104:108] = kind
    record = bytearray(size)
    struct.pack_into(f"{order}2i", record, 0, size, 0 if kind == b"FEI1" else 2)
    masks = dict.fromkeys(_MASK_AT, 0)
    for offset, code, value, mask, bit in fields:
        struct.pack_into(order + code, record, offset, value)
        if offset not in masked:
            masks[mask] |= 1 << bit
    for mask, offset in _MASK_AT.items():
        struct.pack_into(f"{order}I", record, offset, masks[mask])
    return bytes(main) + bytes(record)


def test_real_header(shared_data):
    reading = read_fei_header(shared_data / "acquisition" / "mrc" / "velox_stem_fei2_header_only.mrc")
    assert reading.problems == ()
    assert (reading.format, reading.role) == ("mrc_fei", "header")
    wanted = {
        "voltage_kV": 300.0, "image_px_A": 56.7913, "binning": 2, "detector": "BM-Ceta", "scope_id": "3814", "software": "Velox",
        "acquired": "2022-12-05T12:13:07",
    }  # fmt: skip
    for name, value in wanted.items():
        assert close(reading.get(name), value), name
    assert reading.get("software_version").startswith("3.7.0.872")
    extra = reading.extra
    assert (extra["size"], extra["mode"], extra["exttyp"], extra["nsymbt"], extra["metadata_version"]) == (
        (16, 16, 1),
        6,
        "FEI2",
        909312,
        2,
    )
    # Fields whose bit is clear, or whose value is 0 for unknown.
    assert not {"dose_total_eA2", "magnification", "defocus_target_um", "exposure_s"} & set(reading.values)


@pytest.mark.parametrize(("kind", "order"), [(b"FEI1", "<"), (b"FEI2", "<"), (b"FEI1", ">")])
def test_synthetic_header(tmp_path, kind, order):
    more = [(804, "16s", b"Falcon 4i", 4, 7), (872, "16s", b"100", 4, 16)] if kind == b"FEI2" else []
    path = tmp_path / "a.mrc"
    path.write_bytes(_header(kind, order, _SYNTHETIC + more))
    reading = read_fei_header(path)
    wanted = {
        "acquired": "2023-03-15T06:00:00", "scope_id": "9953405", "voltage_kV": 200.0, "dose_total_eA2": 42.0, "image_px_A": 0.87,
        "defocus_um": -2.1, "defocus_target_um": -1.5, "magnification": 120000, "spot": 5, "slit_eV": 20.0, "image_shift": (0.01, -0.02),
        "beam_shift": (0.3, -0.4), "exposure_s": 3.5, "binning": 1, "detector": "BM-Falcon", "counting": True, "phase_plate": False,
    }  # fmt: skip
    for name, value in wanted.items():
        assert close(reading.get(name), value), name
    assert reading.get("detector_model") == ("Falcon 4i" if kind == b"FEI2" else None)
    assert reading.get("obj_aperture") == ("100" if kind == b"FEI2" else None)


def test_a_clear_bit_hides_the_field(tmp_path):
    path = tmp_path / "a.mrc"
    path.write_bytes(_header(masked=(84, 354, 411)))
    reading = read_fei_header(path)
    assert not {"voltage_kV", "slit_eV", "beam_shift"} & set(reading.values)


def test_plain_mrc_gives_voxel_size_and_labels(tmp_path):
    content = bytearray(_header()[:1024])
    content[104:108] = bytes(4)
    struct.pack_into("<i", content, 92, 0)
    struct.pack_into("<i", content, 220, 1)
    content[224:244] = b"SerialEMCCD: r/f 3  "
    (tmp_path / "a.mrc").write_bytes(content)
    reading = read_fei_header(tmp_path / "a.mrc")
    assert (reading.format, reading.get("image_px_A"), reading.extra["labels"]) == ("mrc", 1.0, ("SerialEMCCD: r/f 3",))


@settings(max_examples=60)
@given(st.data())
def test_cut_off_or_changed_anywhere(tmp_path_factory, data):
    content = bytearray(_header(b"FEI2"))
    for _ in range(data.draw(st.integers(0, 20))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    path = tmp_path_factory.mktemp("fei") / "a.mrc"
    path.write_bytes(content[:cut])
    reading = read_fei_header(path)
    if cut < 1024 + 888:
        assert reading.problems or reading.format in ("mrc", "unknown")
