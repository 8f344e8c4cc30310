/* The hand that holds the phone to the scanner: photographs what the phone shows and hands the picture to the decoder. */
"use strict";
(function () {
  const byId = (id) => document.getElementById(id);
  const chosen = (name) => document.querySelector(`input[name=${name}]:checked`).value;
  const phone = byId("phone");
  const screen = byId("screen");
  const said = byId("said");

  function post(path, body) {
    return fetch(path, { method: "POST", body: body, headers: { "X-Requested-With": "demo" } })
      .then((answer) => { if (!answer.ok) throw new Error(String(answer.status)); return answer.json(); });
  }

  function fit() {
    const box = document.querySelector(".demo-screen");
    box.style.setProperty("--fit", box.clientWidth / 1280);
  }

  function showStation() {
    const station = chosen("station");
    post(`pair/${station}`).then((made) => {
      screen.src = `/screens/${station}#pair=${made.code}`;
    });
  }

  function showPhone() {
    phone.src = chosen("shown") === "card" ? phone.dataset.card : phone.dataset.wristband;
  }

  /* A camera's view of the phone: the code as drawn, a little turned, on the white of its card. */
  function photograph(svg) {
    const box = svg.getBoundingClientRect();
    const copy = svg.cloneNode(true);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    copy.setAttribute("width", box.width);
    copy.setAttribute("height", box.height);
    const url = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(new XMLSerializer().serializeToString(copy));
    return new Promise((resolve, reject) => {
      const image = new Image();
      image.onerror = () => reject(new Error("the phone's picture cannot be drawn"));
      image.onload = () => {
        const canvas = document.createElement("canvas");
        canvas.width = 1280;
        canvas.height = 720;
        const pen = canvas.getContext("2d");
        pen.fillStyle = "#6d6f72";
        pen.fillRect(0, 0, 1280, 720);
        pen.translate(640, 360);
        pen.rotate((Math.random() - 0.5) * 0.14);
        const scale = Math.min(1000 / box.width, 560 / box.height, 1.9);
        pen.scale(scale, scale);
        pen.fillStyle = "#fff";
        pen.fillRect(-box.width / 2 - 24, -box.height / 2 - 24, box.width + 48, box.height + 48);
        pen.drawImage(image, -box.width / 2, -box.height / 2, box.width, box.height);
        canvas.toBlob(resolve, "image/png");
      };
      image.src = url;
    });
  }

  function shownCode() {
    try {
      const svg = phone.contentDocument.getElementById(chosen("symbol"));
      return svg && svg.getBoundingClientRect().width ? svg : null;
    } catch (e) { return null; }
  }

  function hold() {
    const svg = shownCode();
    if (!svg) { said.textContent = "手机上现在没有码:先打开电子就诊卡 · The phone shows no code right now"; return; }
    const button = byId("hold");
    button.disabled = true;
    phone.parentElement.animate(
      [{ transform: "none" }, { transform: "translateX(40px) rotate(3deg)" }, { transform: "none" }], { duration: 500 });
    photograph(svg)
      .then((picture) => post(`hold/${chosen("station")}`, picture))
      .then((result) => {
        said.textContent = result.read
          ? `扫码器读到 ${result.symbology},${result.digits} 位,用时 ${result.ms} 毫秒 · read in ${result.ms} ms`
          : "没有读到,请再试一次 · Not read, try again";
      })
      .catch(() => { said.textContent = "演示服务没有回应 · The demo does not answer"; })
      .then(() => { window.setTimeout(() => { button.disabled = false; }, 900); });
  }

  document.querySelectorAll("input[name=station]").forEach((input) => input.addEventListener("change", () => {
    document.querySelector(`input[name=shown][value=${input.value === "C1" ? "card" : "wristband"}]`).checked = true;
    showStation();
    showPhone();
  }));
  document.querySelectorAll("input[name=shown]").forEach((input) => input.addEventListener("change", showPhone));
  byId("hold").addEventListener("click", hold);
  byId("cable").addEventListener("change", (e) => post(`scanner/${chosen("station")}/${e.target.checked ? "unplug" : "plug"}`));
  byId("his").addEventListener("change", (e) => post(`his/${e.target.checked ? "down" : "none"}`));
  window.addEventListener("resize", fit);
  fit();
  showStation();
  showPhone();
})();
