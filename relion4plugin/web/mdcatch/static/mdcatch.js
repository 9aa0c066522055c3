"use strict";
(function () {
  // A corrected value is sent at once, and the page shows what follows from it; without this script, Update does it.
  var sending = false, waiting = false;

  function values(form) {
    var found = {};
    new FormData(form).forEach(function (value, name) { if (name.slice(0, 2) === "v.") { found[name] = value; } });
    return found;
  }

  function state(text) {
    var place = document.getElementById("state");
    if (place) { place.textContent = text; }
  }

  function swap(page, sent) {
    var form = document.getElementById("check"), fresh = page.getElementById("check");
    if (!fresh) { window.location.reload(); return; }
    var now = values(form), active = document.activeElement;
    var typed = Object.keys(now).filter(function (name) { return now[name] !== sent[name]; });
    var open = Array.prototype.map.call(form.querySelectorAll("details[open]"), function (one) { return one.id; });
    var focus = active && form.contains(active) ? active.id : "", at = focus && "selectionStart" in active ? active.selectionStart : null;
    document.querySelector("main header").replaceWith(page.querySelector("main header"));
    form.replaceWith(fresh);
    open.forEach(function (id) { if (id && document.getElementById(id)) { document.getElementById(id).open = true; } });
    typed.forEach(function (name) { if (fresh.elements[name]) { fresh.elements[name].value = now[name]; } }); // typed meanwhile
    var back = focus && document.getElementById(focus);
    if (back) {
      back.focus({preventScroll: true});
      if (at !== null && back.setSelectionRange) { back.setSelectionRange(at, at); }
    }
    if (typed.length && !(back && typed.length === 1 && back.name === typed[0])) { waiting = true; }
  }

  function send() {
    var form = document.getElementById("check");
    if (sending) { waiting = true; return; }
    sending = true;
    waiting = false;
    var data = new URLSearchParams(new FormData(form)), sent = values(form);
    data.set("do", "update");
    state("computing …");
    fetch(form.action, {method: "POST", body: data}).then(function (answer) {
      if (!answer.ok) { throw new Error("the server answered " + answer.status); }
      return answer.text();
    }).then(function (text) {
      swap(new DOMParser().parseFromString(text, "text/html"), sent);
    }).catch(function (error) {
      waiting = false;
      state("Not sent: " + error.message);
    }).then(function () {
      sending = false;
      if (waiting) { send(); }
    });
  }

  document.addEventListener("change", function (event) {
    if (event.target.closest("#check") && event.target.name !== "seen") { send(); }
    if (event.target.name === "session") { document.getElementById("path").value = ""; }
  });

  document.querySelectorAll("pre.log[data-log]").forEach(function (box) {
    var end = box.dataset.end;
    box.scrollTop = box.scrollHeight;
    function follow() {
      fetch(box.dataset.log + "?offset=" + end, {cache: "no-store"}).then(function (answer) {
        if (!answer.ok) { throw new Error("no log"); }
        return answer.json();
      }).then(function (chunk) {
        end = chunk.end;
        if (!chunk.text && !chunk.anew) { return; }
        var atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 30;
        box.textContent = (chunk.anew ? "" : box.textContent) + chunk.text;
        if (atEnd) { box.scrollTop = box.scrollHeight; }
      }).catch(function () { return null; }).then(function () { window.setTimeout(follow, 3000); });
    }
    window.setTimeout(follow, 3000);
  });
})();
