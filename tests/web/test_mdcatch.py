"""The pages of mdcatch through Flask's test client: from the list of sessions to a project, corrections, refusals, defences."""

import json
import re
import time
from pathlib import Path

import lxml.html
import pytest

from relion4plugin.acquisition.acquisition_record import read_acquisition_record
from relion4plugin.errors import UserError
from relion4plugin.schemes.it.sizes import box_sizes
from relion4plugin.web.mdcatch import launching
from relion4plugin.web.mdcatch.app import create_app
from relion4plugin.web.mdcatch.setup import make_setup
from relion4plugin.web.serving.guard import CSRF_FIELD, make_guard

from ..acquisition.conftest import both_started, runners  # noqa: F401
from ..acquisition.samples import epu_session
from ..acquisition.small_sessions import add_movie, small_session, tree, write_preset

TOKEN = "a" * 24


class Page:
    """A client that fills in forms as a browser does."""

    def __init__(self, setup):
        self.guard = make_guard(TOKEN)
        self.client = create_app(setup, self.guard).test_client()
        assert self.client.get(f"/?token={TOKEN}").status_code == 200
        self.id = ""

    def get(self, address):
        answer = self.client.get(address)
        for _ in range(40):
            if 'http-equiv="refresh"' not in answer.text:
                return answer
            time.sleep(0.05)
            answer = self.client.get(address)
        raise AssertionError("the page never came")

    def find(self, folder, **answers):
        form = {CSRF_FIELD: self.guard.csrf, "draft": self.id, "session": str(folder), "do": "next", "data_type": "spa", **answers}
        answer = self.client.post("/find", data=form)
        assert answer.status_code == 303
        where = answer.headers["Location"]
        self.id = where.rpartition("/")[2]
        return where

    def check(self):
        return self.get(f"/check/{self.id}").text

    def form(self):
        """All that the browser would send."""
        (form,) = lxml.html.fromstring(self.check()).forms
        return dict(form.form_values())

    def send(self, do="update", ticks=(), reset="", **changes):
        data = {**self.form(), **changes, **dict(ticks)}
        if reset:
            data["reset"] = reset
        else:
            data["do"] = do
        answer = self.client.post(f"/check/{self.id}", data=data)
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"]

    def value(self, name):
        return self.form()[f"v.{name}"]

    def row(self, name):
        return re.search(rf'<div class="[^"]*" id="f-{name}">.*?(?=<div class="field|</section>|</details>)', self.check(), re.S)[0]


@pytest.fixture
def world(tmp_path):
    small_session(tmp_path / "root" / "one")
    (tmp_path / "projects").mkdir()
    return tmp_path


@pytest.fixture
def page(world):
    return Page(make_setup([world / "root"], projects=world / "projects"))


def ready(page, world, **answers):
    assert page.find(world / "root" / "one", size="30", **answers) == f"/check/{page.id}"
    return page


def test_the_list_of_sessions(page, world):
    epu_session(world / "root", name="second")
    (world / "root" / "third" / "Images-Disc1").mkdir(parents=True)
    page.client.post("/find", data={CSRF_FIELD: page.guard.csrf, "do": "look"})
    text = page.get("/").text
    for name, kind in (("one", "data"), ("second", "data"), ("third", "empty")):
        row = re.search(rf"<tr[^>]*>(?:(?!</tr>).)*<b>{name}</b>.*?</tr>", text, re.S)[0]
        assert f"<td>{kind}</td>" in row and ("disabled" in row) == (kind == "empty")
    assert "SerialEM" in text and re.search(r"Helical <small>not offered", text)
    labels = set(re.findall(r'<label for="([^"]+)"', text))
    assert labels and all(f'id="{label}"' in text for label in labels)


def test_the_second_page_shows_sources_and_follows_corrections(page, world):
    ready(page, world, symmetry="D2")
    assert page.value("movie_px_A") == "1.06" and page.value("symmetry") == "D2"
    assert "measured" in page.row("voltage_kV") and "mdoc" in page.row("voltage_kV") and "default" in page.row("cs_mm")
    before = box_sizes(30, 1.06)
    assert page.value("box_size") == str(before.box) and "derived" in page.row("box_size")
    page.send(**{"v.movie_px_A": "0.53"})
    after = box_sizes(30, 0.53)
    assert page.value("box_size") == str(after.box) != str(before.box)
    row = page.row("movie_px_A")
    assert "edited" in row and "not taken: <b>1.06 Å</b> (mdoc)" in row and 'name="reset"' in row
    page.send(**{"v.box_size": "72"})
    page.send(**{"v.particle_diameter": "24"})
    assert page.value("box_size") == "72" and f"{box_sizes(24, 0.53).box} px" in page.row("box_size")
    assert page.value("mask_diameter") == "26.4"
    page.send(reset="box_size")
    page.send(reset="movie_px_A")
    assert page.value("movie_px_A") == "1.06" and page.value("box_size") == str(box_sizes(24, 1.06).box)


def test_every_label_has_its_input(page, world):
    ready(page, world)
    text = page.check()
    labels = re.findall(r'<label for="([^"]+)"', text)
    assert len(labels) == len(set(labels)) > 80 and all(text.count(f'id="{label}"') == 1 for label in labels)
    described = re.findall(r'aria-describedby="([^"]+)"', text)
    assert all(f'id="{one}"' in text for words in described for one in words.split())


def test_mistakes_stand_beside_their_fields_and_block(page, world):
    ready(page, world)
    page.send(**{"v.voltage_kV": "much", "v.nr_classes": "0"})
    assert "must be a number (kV)" in page.row("voltage_kV") and page.value("voltage_kV") == "much"
    assert "at least 1" in page.row("nr_classes") and "--" not in page.row("nr_classes").split("under")[1]
    assert re.search(r'value="launch"[^>]*disabled', page.check())
    assert page.send("launch") == f"/check/{page.id}" and "nothing was launched" in page.check()
    page.send(reset="voltage_kV")
    page.send(**{"v.nr_classes": "20"})
    assert not re.search(r'value="launch"[^>]*disabled', page.check())


def test_back_and_forth_loses_nothing(page, world):
    small_session(world / "root" / "two", pixel=2.0)
    ready(page, world, symmetry="D2", picker="log")
    assert page.send("back", **{"v.cs_mm": "0.01", "v.nr_classes": "33"}) == f"/find/{page.id}"
    first = page.get(f"/find/{page.id}").text
    assert 'value="D2"' in first and re.search(r'name="picker" value="log" checked', first)
    assert re.search(rf'name="session" value="{world}/root/one"[^>]* checked', first)
    page.find(world / "root" / "two", size="40", symmetry="D2", picker="log")
    assert page.value("cs_mm") == "2.7" and page.value("nr_classes") == "33" and page.value("particle_diameter") == "40"
    page.find(world / "root" / "one", size="40", symmetry="D2")
    assert page.value("cs_mm") == "0.01" and page.value("nr_classes") == "33"


def test_answers_of_the_first_page_are_checked(page, world):
    assert page.find(world / "root" / "one", size="3", symmetry="Q9") == f"/find/{page.id}"
    text = page.get(f"/find/{page.id}").text
    assert "no particle size" in text and 'value="Q9"' in text and text.count('aria-invalid="true"') == 2
    page.find("", data_type="helical")
    text = page.get(f"/find/{page.id}").text
    assert "choose a session" in text and "filaments are not offered" in text
    (world / "root" / "net.sav").touch()
    page.find(world / "root" / "one", size="30", model=str(world / "root" / "net.sav"), picker="cryolo")
    assert "is for topaz" in page.get(f"/find/{page.id}").text
    page.find(world / "root" / "one", size="30", model=str(world / "root" / "net.sav"), picker="topaz")
    assert page.value("topaz_model") == str(world / "root" / "net.sav") and page.value("picker") == "topaz"


def test_a_dry_run_writes_nothing(page, world):
    ready(page, world)
    page.send(**{"v.symmetry": "O", "keys": "proc__class2d__nr_iter_grad = 77"})
    before = tree(world)
    assert page.send("plan") == f"/plan/{page.id}"
    text = page.get(f"/plan/{page.id}").text
    assert tree(world) == before and "importmovies / angpix" in text and "scheme run prep" in text
    for row in (("refine3d / sym_name", "C1", "O", "user"), ("class2d / nr_iter_grad", "200", "77", "user")):
        assert re.search(".*?".join(f">{cell}<" for cell in row), text, re.S), row


def test_scipion(page, world):
    ready(page, world, pipeline="scipion")
    page.send("plan")
    text = page.get(f"/plan/{page.id}").text
    assert "pyworkflow.project.scripts.create" in text and "Workflow: " in text


def launch(page):
    text = page.check()
    tick = re.search(r'name="seen" value="([^"]+)"', text)
    assert page.send("launch", ticks=[("seen", tick[1])] if tick else ()) == f"/launch/{page.id}"
    return page.get(f"/launch/{page.id}")


def test_a_launch(page, world, runners, both_started):  # noqa: F811
    ready(page, world, symmetry="O")
    page.send(**{"v.cs_mm": "1.4"})
    done = launch(page)
    both_started()
    project = next(path for path in (world / "projects").iterdir() if path.is_dir() and not path.name.startswith("."))
    assert done.status_code == 200 and str(project) in done.text and "being processed" in done.text
    record, details = read_acquisition_record(project / "SerialEM_session_params.json")
    assert record.get("cs_mm") == 1.4 and record.values["cs_mm"].confidence == "user" and details["user"]["symmetry"] == "O"
    assert f"cs_mm = {record.get('cs_mm')}" in done.text
    tail = page.client.get(f"/tail/{page.id}/prep").json
    assert tail["end"] == (project / "Schemes/prep/run.out").stat().st_size
    assert page.client.get(f"/tail/{page.id}/..%2fx").status_code == 404
    monitor = re.search(r'href="(http://localhost:\d+/\?token=[^"]+)"', done.text)[1]
    import urllib.request

    with urllib.request.urlopen(monitor, timeout=10) as answer:
        assert answer.status == 200
    assert page.send("launch") == f"/launch/{page.id}"  # a second click
    assert len(runners.started()) == 2
    assert "launched" in page.get("/").text


def test_a_second_launch_needs_a_tick(page, world, runners, both_started):  # noqa: F811
    ready(page, world)
    launch(page)
    both_started()
    other = Page(make_setup([world / "root"], projects=world / "projects"))
    ready(other, world)
    text = other.check()
    assert "was launched on" in text and 'name="again"' in text and "--again" not in text
    assert other.send("launch") == f"/check/{other.id}"
    other.send(ticks=[("again", "yes")])
    assert re.search(r'name="again" value="yes" checked', other.check())
    assert str(world / "projects") in launch_again(other).text
    ready(page, world)
    assert page.send("launch") == f"/launch/{page.id}" and "_2</p>" not in page.get(f"/launch/{page.id}").text
    assert "_3</p>" in launch_again(page).text  # once more from the page that launched it first


def launch_again(page):
    assert page.send("launch", ticks=[("again", "yes")]) == f"/launch/{page.id}"
    return page.get(f"/launch/{page.id}")


def test_a_failed_launch_says_why_and_keeps_the_page(page, world, monkeypatch):
    def fail(*_):
        raise UserError("the disk is gone")

    monkeypatch.setattr(launching, "launch", fail)
    ready(page, world)
    page.send(**{"v.nr_classes": "12"})
    assert page.send("launch") == f"/launch/{page.id}"
    answer = page.client.get(f"/launch/{page.id}", follow_redirects=True)
    assert "The launch failed: the disk is gone" in answer.text and page.value("nr_classes") == "12"


def test_warnings_need_a_tick_that_new_warnings_take_back(world):
    preset = write_preset(world / "p.toml", more="[microscope.calibration]\n81000 = 1.5\n")
    page = Page(make_setup([world / "root"], [str(preset)], world / "projects"))
    page.find(world / "root" / "one")
    text = page.check()
    assert "V09" in text and page.value("particle_diameter") == "30"
    first = re.search(r'name="seen" value="([^"]+)"', text)[1]
    assert page.send("launch") == f"/check/{page.id}" and "read them" in page.check()
    page.send(ticks=[("seen", first)])
    assert re.search(r'name="seen" value="[^"]+" checked', page.check())
    page.send(ticks=[("seen", first)], **{"v.particle_diameter": "14.8"})
    text = page.check()
    assert "less than ten pixels" in text and not re.search(r'name="seen" value="[^"]+" checked', text)
    assert page.send("launch", ticks=[("seen", first)]) == f"/check/{page.id}"


def test_new_movies_are_read_when_asked(page, world):
    ready(page, world)
    assert re.search(r"<dt>Movies</dt><dd>3", page.check())
    add_movie(world / "root" / "one", 3)
    assert re.search(r"<dt>Movies</dt><dd>3", page.check())
    page.send("read", **{"v.cs_mm": "1.4"})
    assert re.search(r"<dt>Movies</dt><dd>4", page.check()) and page.value("cs_mm") == "1.4"


def test_presets(world):
    preset = write_preset(world / "p.toml", more="[match]\ndetector = ['falcon4i']\n")
    page = Page(make_setup([world / "root"], [str(preset)], world / "projects"))
    page.find(world / "root" / "one")
    answer = page.client.get(f"/check/{page.id}", follow_redirects=True)
    assert "no preset fits" in answer.text
    page.find(world / "root" / "one", preset="p")
    assert "preset" in page.row("picker") and page.value("particle_diameter") == "30"
    page.find(world / "root" / "one", preset="shipped: krios_k3")
    assert page.value("particle_diameter") == "180"
    page.find(world / "root" / "one", preset="/etc/passwd")
    assert "there is no preset" in page.get(f"/find/{page.id}").text
    with pytest.raises(UserError, match="give one, or a preset"):
        make_setup([])


def test_real_metadata(shared_data, tmp_path):
    page = Page(make_setup([shared_data / "acquisition"], projects=tmp_path))
    page.find(shared_data / "acquisition" / "epu_falcon3_afis", size="130")
    assert page.value("voltage_kV") == "300" and page.value("movie_px_A").startswith("0.8707")
    text = page.check()
    assert "no movie was found" in text and re.search(r'value="launch"[^>]*disabled', text)
    assert "--" not in re.search(r"<ul>.*?</ul>", text, re.S)[0]
    assert not list(tmp_path.iterdir())


class TestDefences:
    def test_nothing_without_the_token(self, world):
        client = create_app(make_setup([world / "root"]), make_guard(TOKEN)).test_client()
        for address in ("/", "/find/x", "/check/x", "/plan/x", "/launch/x", "/tail/x/prep", "/assets/style.css"):
            assert client.get(address).status_code == 403
        assert client.post("/find", data={}).status_code == 403

    @pytest.mark.parametrize("headers", [{}, {"Origin": "http://evil.example"}, {"Origin": "null"}])
    def test_forms_of_others(self, page, world, headers):
        data = {"session": str(world / "root" / "one"), "do": "next"}
        if headers:
            data[CSRF_FIELD] = page.guard.csrf
        assert page.client.post("/find", data=data, headers=headers).status_code == 403

    def test_headers(self, page):
        headers = page.client.get("/").headers
        assert "form-action 'self'" in headers["Content-Security-Policy"] and "unsafe" not in headers["Content-Security-Policy"]
        assert headers["Referrer-Policy"] == "same-origin" and headers["X-Frame-Options"] == "DENY"

    @pytest.mark.parametrize("path", ["/etc", "../..", "{root}/../outside", "{root}/link", "{root}/one/../../outside", "{root}/\x00"])
    def test_folders_outside(self, page, world, path):
        small_session(world / "outside")
        (world / "root" / "link").symlink_to(world / "outside")
        text = path.format(root=world / "root")
        page.find("", path=text, size="30")
        shown = page.get(f"/find/{page.id}").text
        assert "outside of the folders" in shown or "control characters" in shown
        page.find(world / "root" / "one", movies=text, size="30")
        assert page.get(f"/check/{page.id}").request.path == f"/find/{page.id}" or "aria-invalid" in page.get(f"/find/{page.id}").text

    @pytest.mark.parametrize("name", ["gain_path", "defect_path", "mtf_path", "topaz_model", "iniref", "movie_pattern"])
    def test_files_outside(self, page, world, name):
        (world / "secret.mrc").write_text("secret")
        ready(page, world)
        page.send(**{f"v.{name}": str(world / "secret.mrc")})
        assert "outside of the folders" in page.row(name)
        (world / "root" / "hidden.mrc").symlink_to(world / "secret.mrc")
        sly = world / "root" / "*" / ".." / "x" if name == "movie_pattern" else world / "root" / "hidden.mrc"
        page.send(**{f"v.{name}": str(sly)})
        assert "problem" in page.row(name)

    def test_programs_are_not_taken_from_a_page(self, page, world):
        ready(page, world)
        text = page.check()
        assert "fn_topaz_exec" not in text and "cryolo_program" not in text
        for key in ("proc__autopick__fn_topaz_exec", "prep__ctffind__fn_ctffind_exe", "prep__motioncorr__qsub", "proc__cryolo_program"):
            page.send(keys=f"{key} = /bin/sh")
            assert "names a program" in page.check()

    @pytest.mark.parametrize("name", ["../x", "a b", "$(id)", "/etc/x"])
    def test_names_of_projects(self, page, world, name):
        ready(page, world)
        page.send(project=name)
        assert "is no name for a project" in page.check() and not page.send("plan").startswith("/plan")

    def test_names_are_text_not_markup(self, world):
        bad = "<img src=x onerror=alert(1)>\"'&"
        small_session(world / "root" / bad.replace("/", ""))
        page = Page(make_setup([world / "root"], projects=world / "projects"))
        page.find(world / "root" / bad, size="30")
        page.send(**{"v.scope_name": bad, "v.symmetry": bad, "keys": f"a__b__c = {bad}"})
        for address in ("/", f"/find/{page.id}", f"/check/{page.id}"):
            text = page.get(address).text
            assert "<img" not in text and "&lt;img" in text and not re.search(r"\sstyle=", text)

    def test_unknown_drafts(self, page):
        for address in ("/find/nothing", "/check/nothing", "/plan/nothing", "/launch/nothing", "/tail/nothing/prep"):
            answer = page.client.get(address)
            assert answer.status_code == 404 and "begin again" in answer.text

    def test_nothing_from_elsewhere(self, page, world):
        ready(page, world)
        texts = [page.get("/").text, page.check(), page.client.get("/assets/style.css").text, page.client.get("/assets/mdcatch.js").text]
        assert not any(re.search(r"""(?:src|href|url\(|@import)[ =("']*(?:https?:)?//""", text) for text in texts)


def test_many_files_are_read_in_the_background(world, monkeypatch):
    from relion4plugin.web.mdcatch import app, reading

    def slow(*args):
        progress = args[-1]
        progress.start("reading metadata", 10_000)
        progress.advance(1234)
        time.sleep(0.4)
        return read(*args)

    read = reading.read_session
    monkeypatch.setattr(reading, "read_session", slow)
    monkeypatch.setattr(app, "_SOON", 0.1)
    page = Page(make_setup([world / "root"], projects=world / "projects"))
    page.find(world / "root" / "one", size="30")
    waiting = page.client.get(f"/check/{page.id}").text
    assert "reading metadata: 1,234 of 10,000" in waiting and 'http-equiv="refresh"' in waiting
    assert page.value("voltage_kV") == "300"


def test_the_record_is_json_and_text(page, world, runners, both_started):  # noqa: F811
    ready(page, world)
    launch(page)
    both_started()
    found = list(Path(world / "projects").rglob("SerialEM_session_params*"))
    assert len(found) == 2 and json.loads(next(p for p in found if p.suffix == ".json").read_text())["program"] == "relion4plugin"
