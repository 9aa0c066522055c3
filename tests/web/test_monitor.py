"""The monitor's pages, changes and defences, through Flask's test client."""

import io
import json
import re
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from relion4plugin.errors import UserError
from relion4plugin.schemes.model import Edge, Operator, Scheme, Variable
from relion4plugin.schemes.owners import Owner
from relion4plugin.schemes.pipeline import Process, Status
from relion4plugin.schemes.pipeline_star import read_pipeline, write_pipeline
from relion4plugin.schemes.scheme_star import read_scheme_star, scheme_text
from relion4plugin.web.monitor import logs
from relion4plugin.web.monitor.app import create_app
from relion4plugin.web.monitor.frame import script
from relion4plugin.web.monitor.logs import read_chunk
from relion4plugin.web.serving.guard import CSRF_HEADER, make_guard
from tests.web.example_project import make_project, prep

TOKEN = "a" * 24
PAGES = ("/", "/jobs", "/scheme/prep", "/scheme/proc", "/scheme/proc/template/class2d", "/job/Class2D/job007", "/job/Refine3D/job010")


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


@pytest.fixture
def guard():
    return make_guard(TOKEN)


@pytest.fixture
def client(project, guard):
    client = create_app(project, guard).test_client()
    assert client.get(f"/?token={TOKEN}").status_code == 200
    return client


def act(client, guard, scheme, **request):
    answer = client.post(f"/act/{scheme}", json=request, headers={CSRF_HEADER: guard.csrf})
    return answer.status_code, answer.json["text"]


@pytest.mark.parametrize("address", PAGES)
def test_pages_and_their_parts(client, address):
    page = client.get(address)
    assert page.status_code == 200 and page.text.count('class="part"') >= 1
    tags = dict(re.findall(r'id="part-(\w+)" data-tag="(\w+)"', page.text))
    nothing = client.get(f"/parts{address}?have={','.join(':'.join(pair) for pair in tags.items())}")
    assert nothing.json == {"parts": {}}
    everything = client.get(f"/parts{address}")
    assert set(everything.json["parts"]) == set(tags)
    again = client.get(f"/parts{address}", headers={"If-None-Match": everything.headers["ETag"]})
    assert again.status_code == 304 and again.data == b""


def test_what_the_pages_say(client):
    overview = client.get("/").text
    assert "31,250" in overview and 'href="/scheme/proc"' in overview and "1 running" in overview
    scheme = client.get("/scheme/proc").text
    assert 'data-node="CHECK_do_3d"' in scheme and 'data-what="abort" disabled' in scheme and "Class2D/job011/ started" in scheme
    assert 'data-log="/log/job/Class2D/job011/run.out"' in scheme and 'value="5000"' in scheme
    job = client.get("/job/Class2D/job007").text
    assert 'href="/job/Extract/job006"' in job and 'href="/job/Select/job008"' in job and '<td class="text">nr_classes</td>' in job
    assert "0.92" in job and client.get("/job/Select/job999").status_code == 404


def test_only_what_changed_is_sent(client, project):
    tags = dict(re.findall(r'id="part-(\w+)" data-tag="(\w+)"', client.get("/job/Class2D/job011").text))
    (project.root / "Class2D/job011/RELION_JOB_EXIT_FAILURE").touch()
    time.sleep(0.9)  # the server looks at a project at most so often
    news = client.get(f"/parts/job/Class2D/job011?have={','.join(':'.join(pair) for pair in tags.items())}").json["parts"]
    assert set(news) == {"state"} and "Failed" in news["state"]["html"]


def test_class_averages_are_one_picture_in_the_order_of_scores(client):
    address = re.search(r'href="(/classes/Class2D/job007\.png\?v=[^"]*)"', client.get("/job/Class2D/job007").text)[1]
    answer = client.get(address)
    picture = np.asarray(Image.open(io.BytesIO(answer.data)))
    assert answer.mimetype == "image/png" and picture.shape == (96, 24 * 96) and picture[:, :96].std() > 20
    assert "max-age" in answer.headers["Cache-Control"]
    assert client.get("/classes/Extract/job006.png").status_code == 404


def test_logs_come_piece_by_piece(client, project):
    path = project.root / "Class2D/job011/run.out"
    first = client.get("/log/job/Class2D/job011/run.out").json
    assert first["text"] == path.read_text() and first["anew"] and first["end"] == first["size"]
    with open(path, "ab") as stream:
        stream.write("späte Zeile\n".encode()[:3])  # half of a letter
    second = client.get(f"/log/job/Class2D/job011/run.out?offset={first['end']}").json
    assert second["text"] == "sp" and not second["anew"]
    with open(path, "ab") as stream:
        stream.write("späte Zeile\n".encode()[3:])
    third = client.get(f"/log/job/Class2D/job011/run.out?offset={second['end']}").json
    assert third["text"] == "äte Zeile\n"
    path.write_text("new\n")
    assert client.get(f"/log/job/Class2D/job011/run.out?offset={third['end']}").json["anew"]
    assert "next node" in client.get("/log/scheme/proc/run.out").json["text"]
    assert client.get("/log/scheme/prep/run.out").json["text"] == ""


def test_long_logs_are_never_read_whole(tmp_path):
    path = tmp_path / "run.out"
    path.write_text("".join(f"line {i}\n" for i in range(100_000)))
    tail = read_chunk(path)
    assert len(tail.text) <= logs.TAIL and tail.text.startswith("line ") and tail.text.endswith("line 99999\n")
    behind = read_chunk(path, 10)
    assert behind.anew and behind.text == tail.text
    assert read_chunk(path, tail.end).text == "" and not read_chunk(path, tail.end).anew
    path.write_bytes(b"\xff\xfe\x80\x80")
    assert read_chunk(path).text


def test_changes_of_a_scheme_at_rest(client, guard, project):
    assert act(client, guard, "proc", what="variable", name="wait_sec", value="60") == (200, "proc: done")
    assert act(client, guard, "proc", what="mode", name="class2d", value="continue")[0] == 200
    assert act(client, guard, "proc", what="node", name="extract")[0] == 200
    scheme = read_scheme_star(project.scheme_file("proc"))
    assert (scheme.floats["wait_sec"].value, scheme.jobs["class2d"].mode, scheme.current_node) == (60.0, "continue", "extract")
    assert act(client, guard, "proc", what="option", job="class2d", name="nr_classes", value="50")[0] == 200
    assert "50" in client.get("/parts/scheme/proc/template/class2d").json["parts"]["options"]["html"]
    assert act(client, guard, "proc", what="reset")[0] == 200
    assert read_scheme_star(project.scheme_file("proc")).current_node == "WAIT"
    assert act(client, guard, "proc", what="abort")[0] == 200
    assert (project.root / "Schemes/proc/RELION_JOB_ABORT_NOW").exists()


@pytest.mark.parametrize(
    "request_",
    [
        {"what": "variable", "name": "wait_sec", "value": "long"},
        {"what": "variable", "name": "no", "value": "1"},
        {"what": "option", "job": "class2d", "name": "nothing", "value": "1"},
        {"what": "option", "job": "../../prep", "name": "a", "value": "1"},
        {"what": "node", "name": "nowhere"},
        {"what": "explode"},
        {"what": "variable", "name": ["a"], "value": "1"},
        {},
    ],
)
def test_wrong_changes_are_refused(client, guard, project, request_):
    before = project.scheme_file("proc").read_bytes()
    assert act(client, guard, "proc", **request_)[0] == 409
    assert project.scheme_file("proc").read_bytes() == before
    assert act(client, guard, "..", what="reset")[0] in (404, 409)


def test_a_scheme_of_another_program_is_not_changed(client, guard, project):
    project.scheme_lock("proc").mkdir()
    (project.scheme_lock("proc") / "lock_scheme").write_text("relion\n")
    for request in (
        {"what": "variable", "name": "wait_sec", "value": "1"},
        {"what": "option", "job": "class2d", "name": "nr_classes", "value": "1"},
        {"what": "restart"},
        {"what": "reset"},
    ):
        status, text = act(client, guard, "proc", **request)
        assert status == 409 and "program" in text
    assert '<form class="setting"' not in client.get("/scheme/proc").text


def test_a_running_scheme_gets_its_changes_from_the_runner(client, guard, project):
    project.scheme_lock("proc").mkdir()
    (project.scheme_lock("proc") / "lock_scheme").write_text(Owner.current("running").text())
    status, text = act(client, guard, "proc", what="variable", name="wait_sec", value="7")
    assert status == 200 and "runner" in text
    assert json.loads((project.root / "Schemes/proc/commands.jsonl").read_text())["value"] == "7"
    assert act(client, guard, "proc", what="restart")[0] == 409 and act(client, guard, "proc", what="unlock")[0] == 409


def test_restart_starts_a_runner(client, guard, project, monkeypatch):
    started = []
    monkeypatch.setattr("relion4plugin.web.monitor.actions.start_runners", lambda project, names: started.append(names))
    assert act(client, guard, "prep", what="restart") == (200, "prep: started prep") and started == [["prep"]]


def test_read_only(project, guard):
    client = create_app(project, guard, read_only=True).test_client()
    client.get(f"/?token={TOKEN}")
    assert act(client, guard, "proc", what="reset")[0] == 403
    page = client.get("/scheme/proc").text
    assert "<form" not in page and "<button" not in page


def test_json_and_text(client):
    answer = client.get("/api/status")
    assert answer.json["job_counts"]["Failed"] == 1
    assert client.get("/api/status", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert "scheme proc" in client.get("/api/status.txt").text


class TestDefences:
    @pytest.mark.parametrize(
        "address", [*PAGES, "/api/status", "/assets/monitor.js", "/log/job/Class2D/job007/run.out", "/nowhere", "/?token=wrong"]
    )
    def test_nothing_without_the_token(self, project, guard, address):
        client = create_app(project, guard).test_client()
        assert client.get(address).status_code == 403
        assert client.post("/act/proc", json={"what": "abort"}, headers={CSRF_HEADER: guard.csrf}).status_code == 403
        assert not (project.root / "Schemes/proc/RELION_JOB_ABORT_NOW").exists()

    def test_the_cookie(self, project, guard):
        answer = create_app(project, guard).test_client().get(f"/scheme/proc?token={TOKEN}")
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
        assert "url=/scheme/proc" in answer.text and TOKEN not in answer.text

    @pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example", ""])
    def test_a_rebound_name(self, client, host):
        assert client.get("/", headers={"Host": host}).status_code in (400, 421)

    @pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1:1", "[::1]:80", "192.168.1.7"])
    def test_names_of_this_machine_and_numbers(self, guard, host):
        assert guard.host_is_known(host)

    @pytest.mark.parametrize("headers", [{}, {CSRF_HEADER: "wrong"}, {"Origin": "http://evil.example"}])
    def test_changes_need_our_script(self, client, guard, project, headers):
        full = {CSRF_HEADER: guard.csrf, **headers} if "Origin" in headers else headers
        assert client.post("/act/proc", json={"what": "abort"}, headers=full).status_code == 403
        assert not (project.root / "Schemes/proc/RELION_JOB_ABORT_NOW").exists()

    def test_headers(self, client):
        for address in ("/", "/api/status", "/nowhere", "/assets/style.css"):
            headers = client.get(address).headers
            policy = headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "frame-ancestors 'none'" in policy
            assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"

    def test_pages_need_nothing_from_elsewhere(self, client):
        texts = [client.get(address).text for address in PAGES] + [client.get("/assets/style.css").text, script()]
        for text in texts:
            assert not re.search(r"""(?:src|href|url\(|@import)[ =("']*(?:https?:)?//""", text)
        assert all(" style=" not in text and not re.search(r"\son\w+=", text) for text in texts[: len(PAGES)])

    @pytest.mark.parametrize(
        "address",
        [
            "/log/job/Class2D/job007/job.star",
            "/log/job/..%2f..%2fetc/passwd",
            "/log/job/Class2D/..%2f..%2f..%2fetc%2fpasswd/run.out",
            "/log/scheme/..%2f..%2fetc/run.out",
            "/log/job/Class2D/job007/..%2frun.out",
            "/job/../etc",
            "/job/..%2f../etc",
            "/classes/..%2f..%2fetc/passwd.png",
            "/scheme/%2e%2e/template/%2e%2e",
            "/scheme/proc/template/..%2f..%2fprep",
            "/assets/..%2fapp.py",
        ],
    )
    def test_other_files_cannot_be_reached(self, client, address):
        assert client.get(address).status_code == 404
        assert client.get("/parts" + address).status_code == 404

    def test_a_pipeline_that_names_other_folders(self, client, project):
        (project.root.parent / "outside").mkdir(exist_ok=True)
        (project.root.parent / "outside/run.out").write_text("secret")
        pipeline = read_pipeline(project.pipeline_path)
        for name in ("../outside/", "/etc/job001/"):
            pipeline = pipeline.with_process(Process(name, "relion.external", Status.RUNNING))
        write_pipeline(project.pipeline_path, pipeline.with_outputs("../outside/", {"/dev/zero": "ParticlesData.star.relion"}))
        assert client.get("/").status_code == 200
        assert client.get("/log/job/../outside/run.out").status_code == 404
        assert client.get("/log/job/%2e%2e/outside/run.out").status_code == 404

    def test_links_out_of_a_job(self, client, project):
        path = project.root / "Class2D/job007/run.err"
        path.unlink()
        path.symlink_to("/etc/passwd")
        answer = client.get("/log/job/Class2D/job007/run.err")
        assert answer.status_code == 404 and "root:" not in answer.text

    def test_names_are_text_not_markup(self, project, guard):
        bad = "<img/src=x/onerror=alert(1)>\"'&"
        scheme = prep()
        operators = {**scheme.operators, bad: replace(scheme.operators["WAIT"], name=bad, type=bad)}
        first, *rest = scheme.edges
        project.scheme_file("prep").write_text(
            scheme_text(
                replace(
                    scheme,
                    operators=operators,
                    edges=(replace(first, target=bad), replace(first, source=bad), *rest),
                    strings={bad: replace(scheme.floats["wait_sec"], value=bad, reset=bad)},
                )
            )
        )
        event = {"time": 1, "event": "end", "node": bad, "outcome": bad, "reason": bad}
        (project.root / "Schemes/prep/events.jsonl").write_text(json.dumps(event) + "\n")
        pipeline = read_pipeline(project.pipeline_path)
        pipeline = pipeline.with_process(replace(pipeline.process("Extract/job006/"), type_label=f"relion.{bad}", alias=f"Extract/{bad}/"))
        write_pipeline(project.pipeline_path, pipeline.with_outputs("Extract/job006/", {f"Extract/job006/{bad}": bad}))
        (project.root / "Extract/job006/job.star").write_text(f"data_job\n\n_rlnJobTypeLabel {bad}\n")
        client = create_app(project, guard).test_client()
        client.get(f"/?token={TOKEN}")
        for address in ("/", "/jobs", "/scheme/prep", "/job/Extract/job006"):
            page = client.get(address)
            assert page.status_code == 200 and "<img" not in page.text and "&lt;img" in page.text
            shown = "".join(part["html"] for part in client.get(f"/parts{address}").json["parts"].values())
            assert "<img" not in shown
        hostile = client.get("/scheme/<script>alert(1)<%2fscript>")
        assert hostile.status_code == 404 and "<script>" not in hostile.text

    def test_a_short_token(self):
        with pytest.raises(UserError, match="at least 16"):
            make_guard("short")
        assert len({make_guard().token for _ in range(5)}) == 5


def test_restart_runs_the_scheme_in_a_process_of_its_own(client, guard, project):
    """The real runner: the scheme counts to three and ends, after a restart from the page."""
    edges = (Edge("COUNT", "DONE"), Edge("DONE", "COUNT", is_fork=True, target_if_true="EXIT", boolean="done"))
    operators = {
        "COUNT": Operator("COUNT", "float=plus", "n", "n", "one"),
        "DONE": Operator("DONE", "bool=ge", "done", "n", "three"),
        "EXIT": Operator("EXIT", "exit"),
    }
    floats = {name: Variable(value, value) for name, value in (("n", 0.0), ("one", 1.0), ("three", 3.0))}
    scheme = Scheme("Schemes/count/", "COUNT", floats, {"done": Variable(False, False)}, operators=operators, edges=edges)
    (project.root / "Schemes/count").mkdir()
    (project.root / "Schemes/count/scheme.star").write_text(scheme_text(scheme))
    assert act(client, guard, "count", what="restart") == (200, "count: started count")
    end = time.monotonic() + 30
    while not (project.root / "Schemes/count/RELION_JOB_EXIT_SUCCESS").exists() and time.monotonic() < end:
        time.sleep(0.05)
    after = read_scheme_star(project.scheme_file("count"))
    assert after.floats["n"].value == 3.0 and after.current_node == "EXIT"
    assert "finished" in (project.root / "Schemes/count/run.out").read_text()
    assert client.get("/scheme/count").status_code == 200
