/* Sends the binding form without leaving the page, so that a refusal does not cost the four fields typed; ES2017. */
(function () {
  "use strict";
  var form = document.getElementById("bind");
  var summary = document.getElementById("summary");
  var say = document.getElementById("summary-say");
  var list = document.getElementById("summary-list");
  var send = document.getElementById("send");
  var word = document.getElementById("send-word");
  var idle = word.textContent;
  var busy = false;
  if (!window.fetch || !window.URLSearchParams || !window.FormData) return;

  function clear() {
    summary.hidden = true;
    say.textContent = "";
    list.textContent = "";
    Array.prototype.forEach.call(form.querySelectorAll(".ph-input"), function (input) {
      input.removeAttribute("aria-invalid");
      var error = document.getElementById(input.id + "-error");
      error.hidden = true;
      error.textContent = "";
    });
    Array.prototype.forEach.call(summary.querySelectorAll(".ph-hint"), function (hint) { hint.remove(); });
  }

  function show(text) {
    say.textContent = text;
    summary.hidden = false;
    summary.focus();
    summary.scrollIntoView({ block: "start" });
  }

  function mark(fields) {
    fields.forEach(function (pair) {
      var name = pair[0];
      var error = document.getElementById(name + "-error");
      error.textContent = pair[1];
      error.hidden = false;
      document.getElementById(name).setAttribute("aria-invalid", "true");
      var item = document.createElement("li");
      var link = document.createElement("a");
      link.href = "#" + name;
      link.textContent = pair[1];
      item.appendChild(link);
      list.appendChild(item);
    });
    show("");
  }

  async function submit() {
    busy = true;
    send.setAttribute("aria-disabled", "true");
    word.textContent = form.dataset.wait;
    try {
      var answer = await fetch(form.action, {
        method: "POST",
        body: new URLSearchParams(new FormData(form)),
        headers: { Accept: "application/json" },
        credentials: "same-origin"
      });
      var body = await answer.json();
      if (body.go) {
        location.assign(body.go);
        return;
      }
      clear();
      if (body.fields) mark(body.fields);
      else if (answer.status === 401) location.reload();
      else show(body.error.say);
    } catch (lost) {
      clear();
      show(form.dataset.lost);
    }
    busy = false;
    send.removeAttribute("aria-disabled");
    word.textContent = idle;
  }

  form.addEventListener("submit", function (event) {
    event.preventDefault();
    if (!busy) submit();
  });
  if (!summary.hidden) summary.focus();
})();
