// An HL7 v2 receiver nobody here wrote: npm node-hl7-server or simple-hl7, with a book of what it was sent.
// usage: node mllp_receiver.cjs NODE_MODULES KIND PORT BOOK
// Ours are only: the book (one line "MSH-10 <tab> ZPH-7" for each control id not seen before: an application that
// drops resends by MSH-10), HANDLED (a line for every message handed over, resends too), and the answers:
// ZPH-7 beginning with AE or AR is answered so, with MUTE not at all.
const fs = require("node:fs");
const { createRequire } = require("node:module");
const [modules, kind, port, book] = process.argv.slice(2);
const from = createRequire(`${modules}/`);
const seen = new Set(fs.existsSync(book) ? fs.readFileSync(book, "utf8").split("\n").map((line) => line.split("\t")[0]) : []);

function take(id, business) {
  fs.appendFileSync(`${book}.handled`, `${id}\n`);
  if (!seen.has(id)) {
    seen.add(id);
    fs.appendFileSync(book, `${id}\t${business}\n`);
  }
  return /^(AE|AR|MUTE)/.exec(business)?.[0] ?? "AA";
}

if (kind === "node-hl7-server") {
  const { Server } = from("node-hl7-server");
  const inbound = new Server({ bindAddress: "127.0.0.1" }).createInbound({ port: Number(port) }, async (req, res) => {
    const message = req.getMessage();
    const answer = take(message.get("MSH.10").toString(), message.get("ZPH.7").toString());
    if (answer !== "MUTE") await res.sendResponse(answer);
  });
  inbound.on("listen", () => console.log("ready"));
  for (const name of ["data.error", "error", "client.error"]) inbound.on(name, (error) => console.error(name, error?.message));
} else {
  const app = from("simple-hl7").tcp();
  app.use((req, res, next) => {
    const zph = req.msg.getSegment("ZPH");
    const answer = take(req.msg.header.getField(8).toString(), zph ? zph.getField(7).toString() : "");
    if (answer === "MUTE") return;
    res.ack.getSegment("MSA").setField(1, answer);
    res.end();
  });
  app.use((error, req, res, next) => console.error(error?.message));
  app.start(Number(port));
  console.log("ready");
}
process.on("uncaughtException", (error) => console.error("uncaught", error.message));
