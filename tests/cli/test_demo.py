from relion4plugin.cli.main import main


def test_a_directory_of_the_user_is_not_overwritten(tmp_path, capsys):
    precious = tmp_path / "particles" / "particles.star"
    precious.parent.mkdir()
    precious.write_text("mine")
    assert main(["demo", "--o", str(tmp_path), "--quiet"]) == 2
    assert "not an earlier demo" in capsys.readouterr().err
    assert precious.read_text() == "mine"
