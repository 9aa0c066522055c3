import pytest

from relion4plugin.cli.main import main


def test_a_directory_of_the_user_is_not_overwritten(tmp_path, capsys):
    precious = tmp_path / "particles" / "particles.star"
    precious.parent.mkdir()
    precious.write_text("mine")
    assert main(["demo", "--o", str(tmp_path), "--quiet"]) == 2
    assert "not an earlier demo" in capsys.readouterr().err
    assert precious.read_text() == "mine"


@pytest.mark.slow
def test_the_demo_runs_twice_into_the_same_directory(tmp_path, capsys):
    for _ in range(2):
        assert main(["demo", "--o", str(tmp_path / "demo"), "--quiet"]) == 0
    assert (tmp_path / "demo" / "class2d" / "report.html").stat().st_size > 10_000
    assert (tmp_path / "demo" / "class2d" / "run_it060_data.star").is_file()
