import importlib.metadata
import importlib.util
import json
import shutil

import pytest

from relion4plugin.cli import doctor
from relion4plugin.cli.main import main

HAS_SCIPION = importlib.util.find_spec("pwem") is not None


def test_without_optional_parts_nothing_is_wrong(monkeypatch, capsys, tmp_path):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name in ("pwem", "cupy") else there(name, *a))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert main(["doctor", "--json", "--dir", str(tmp_path)]) == 0
    findings = {f["name"]: f["state"] for f in json.loads(capsys.readouterr().out)["findings"]}
    assert findings["gpu"] == findings["scipion"] == findings["relion"] == "absent"
    assert findings["numpy"] == findings["directory"] == "ok"


def test_what_only_some_jobs_need_is_named(monkeypatch):
    def version(name):
        if name == "torch":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.2"

    monkeypatch.setattr(importlib.metadata, "version", version)
    torch, mpi = doctor._extras()
    assert (torch.state, mpi.state, mpi.text) == (doctor.ABSENT, doctor.GOOD, "1.2")
    assert "[ranker]" in torch.text and "selection of 2D classes" in torch.text


def test_slow_matrix_products_are_an_error(monkeypatch):
    import threadpoolctl

    library = {"internal_api": "openblas", "version": "0.3.23", "architecture": "Prescott"}
    monkeypatch.setattr(threadpoolctl, "threadpool_info", lambda: [library, {"internal_api": "mkl", "version": "1"}])
    monkeypatch.setattr(doctor, "fast_kernels", lambda description: "Haswell")
    (found,) = doctor._matrix_products()
    assert found.state == doctor.BAD and "OPENBLAS_CORETYPE=Haswell" in found.text
    monkeypatch.setattr(doctor, "fast_kernels", lambda description: None)
    (found,) = doctor._matrix_products()
    assert found.state == doctor.GOOD and found.text == "0.3.23, kernels for Prescott"


def test_a_missing_directory_is_an_error(tmp_path):
    assert doctor._directory(tmp_path / "none").state == doctor.BAD


@pytest.mark.skipif(not HAS_SCIPION, reason="Scipion is not installed")
def test_scipion_discovers_the_protocol():
    findings = {f.name: f for f in doctor._scipion()}
    assert "scipion discovery" not in findings, findings
    assert "ProtR4pClassify2D" in findings["scipion protocols"].text


def test_presets_are_checked(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(doctor, "_scipion", list)
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("version = 1\n\n[microscope]\nvoltagge = 300\n")
    assert main(["doctor", "--dir", str(tmp_path), "--preset", str(wrong)]) == 1
    line = next(line for line in capsys.readouterr().out.splitlines() if "wrong.toml" in line)
    assert line.startswith("error") and "wrong.toml:4" in line and "voltagge" in line
    from relion4plugin.acquisition.preset import shipped_presets

    shipped = [str(path) for path in shipped_presets()]
    assert shipped and main(["doctor", "--dir", str(tmp_path), "--preset", *shipped]) == 0
