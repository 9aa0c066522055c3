"use strict";
(function () {
  var PAUSE = 2000, SLOW = 10000, KEEP = 200000;
  var meta = document.querySelector('meta[name="monitor"]');
  var here = meta.dataset.here, secret = meta.content, told = document.getElementById("told");
  var etag = null, logs = {};
  var questions = {
    abort: "Stop this scheme and the job that it runs?",
    restart: "Start this scheme where it stands?",
    reset: "Reset this scheme? All variables get their reset values and all jobs start in new directories.",
    unlock: "Remove the lock? Do this only if no program runs this scheme.",
    node: "Go on at this node next?"
  };

  function tell(text, bad) {
    told.textContent = text;
    told.className = bad ? "bad" : "";
  }

  function busy(part) {
    var active = document.activeElement;
    var editing = active && active.tagName === "INPUT" && part.contains(active);
    return editing || Array.prototype.some.call(part.querySelectorAll("input[name=value]"), function (input) {
      return input.value !== input.defaultValue;
    });
  }

  function replace(parts) {
    Object.keys(parts).forEach(function (name) {
      var part = document.getElementById("part-" + name);
      if (!part || busy(part)) { etag = null; return; }
      part.innerHTML = parts[name].html; // escaped by the server; the content policy forbids scripts in it
      part.dataset.tag = parts[name].tag;
      findLogs();
    });
  }

  function tags() {
    return Array.prototype.map.call(document.querySelectorAll(".part"), function (part) {
      return part.id.slice(5) + ":" + part.dataset.tag;
    }).join(",");
  }

  function update() {
    var headers = etag ? {"If-None-Match": etag} : {};
    return fetch("/parts" + here + "?have=" + encodeURIComponent(tags()), {headers: headers, cache: "no-store"}).then(function (answer) {
      if (answer.status === 304) { return null; }
      if (!answer.ok) { throw new Error("the server answered " + answer.status); }
      etag = answer.headers.get("ETag");
      return answer.json().then(function (found) { replace(found.parts); });
    });
  }

  function findLogs() {
    document.querySelectorAll("pre.log").forEach(function (box) {
      var address = box.dataset.log, known = logs[address];
      if (known && known.box === box) { return; }
      logs[address] = {box: box, end: null};
    });
    Object.keys(logs).forEach(function (address) {
      if (!document.contains(logs[address].box)) { delete logs[address]; }
    });
  }

  function overwrite(text) { // a carriage return starts the line again, as on a terminal
    return text.replace(/\r\n/g, "\n").split("\n").map(function (line) {
      var pieces = line.split("\r").filter(function (piece) { return piece; });
      return pieces.length ? pieces[pieces.length - 1] : "";
    }).join("\n");
  }

  function follow(address) {
    var log = logs[address], box = log.box;
    var at = log.end === null ? "" : "?offset=" + log.end;
    return fetch(address + at, {cache: "no-store"}).then(function (answer) {
      if (!answer.ok) { throw new Error("no log"); }
      return answer.json();
    }).then(function (chunk) {
      if (logs[address] !== log || (!chunk.text && !chunk.anew)) { return; }
      var atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 30;
      log.raw = (chunk.anew ? "" : log.raw || "") + chunk.text;
      if (log.raw.length > KEEP) { log.raw = log.raw.slice(-KEEP / 2); }
      log.end = chunk.end;
      box.textContent = (chunk.anew && chunk.start ? "…\n" : "") + overwrite(log.raw);
      if (atEnd) { box.scrollTop = box.scrollHeight; }
    });
  }

  function turn() {
    var pause = document.hidden ? SLOW : PAUSE;
    update().then(function () {
      document.body.classList.remove("lost");
      return Promise.all(Object.keys(logs).map(follow));
    }).catch(function (error) {
      document.body.classList.add("lost");
      tell("No connection to the monitor: " + error.message, true);
      pause = SLOW;
    }).then(function () { window.setTimeout(turn, pause); });
  }

  function act(data, value) {
    var request = {};
    ["what", "name", "job", "value"].forEach(function (key) { if (key in data) { request[key] = data[key]; } });
    if (value !== undefined) { request.value = value; }
    return fetch("/act/" + encodeURIComponent(data.scheme), {
      method: "POST",
      headers: {"Content-Type": "application/json", "X-Monitor-Token": secret},
      body: JSON.stringify(request)
    }).then(function (answer) {
      return answer.json().then(function (said) {
        tell(said.text, !answer.ok);
        etag = null;
        return answer.ok;
      });
    }).catch(function (error) { tell(error.message, true); return false; });
  }

  document.addEventListener("click", function (event) {
    var button = event.target.closest("button.act");
    if (!button) { return; }
    var question = questions[button.dataset.what];
    if (question && !window.confirm(button.dataset.scheme + ": " + question)) { return; }
    button.disabled = true;
    act(button.dataset).then(update).finally(function () { button.disabled = false; });
  });

  document.addEventListener("submit", function (event) {
    var form = event.target.closest("form.setting");
    if (!form) { return; }
    event.preventDefault();
    var input = form.querySelector("input[name=value]");
    act(form.dataset, input.value).then(function (ok) {
      if (ok) { input.defaultValue = input.value; input.blur(); }
    });
  });

  document.addEventListener("input", function (event) {
    var form = event.target.closest("form.setting");
    if (form) { form.classList.toggle("changed", event.target.value !== event.target.defaultValue); }
  });

  findLogs();
  Promise.all(Object.keys(logs).map(follow)).catch(function () { return null; }).then(function () { window.setTimeout(turn, PAUSE); });
})();
