// An HL7 v2 sender nobody here wrote: npm node-hl7-client or simple-hl7, one message at a time, resent until answered.
// usage: node mllp_sender.cjs NODE_MODULES KIND PORT FILE   (FILE: JSON list of messages; prints "index code attempts")
// Ours is only the loop: a message without an acknowledgement within 2 s is sent again, same MSH-10, new connection.
const fs = require("node:fs");
const { createRequire } = require("node:module");
const [modules, kind, port, file] = process.argv.slice(2);
const from = createRequire(`${modules}/`);
const messages = JSON.parse(fs.readFileSync(file, "utf8"));
process.on("uncaughtException", () => {});

function once(text) {
  return new Promise((resolve) => {
    let close = () => {};
    const timer = setTimeout(() => finish(null), 2000);
    const finish = (code) => {
      clearTimeout(timer);
      close();
      resolve(code);
    };
    if (kind === "node-hl7-client") {
      const { Client, Message } = from("node-hl7-client");
      const client = new Client({ host: "127.0.0.1" });
      const connection = client.createConnection({ port: Number(port), waitAck: true }, async (response) => {
        finish(response.getMessage().get("MSA.1").toString());
      });
      close = () => void connection.close().catch(() => {});
      connection.on("error", () => {});
      connection.on("client.error", () => {});
      Promise.resolve(connection.sendMessage(new Message({ text }))).catch(() => finish(null));
    } else {
      const { Parser, Server } = from("simple-hl7");
      const client = Server.createTcpClient("127.0.0.1", Number(port));
      close = () => client.close();
      client.send(new Parser({ segmentSeperator: "\r" }).parse(text), (error, ack) => {
        finish(error ? null : ack.getSegment("MSA").getField(1).toString());
      });
    }
  });
}

(async () => {
  for (const [index, text] of messages.entries()) {
    let code = null;
    let attempts = 0;
    while (code === null && attempts < 20) {
      attempts += 1;
      code = await once(text);
      if (code === null) await new Promise((done) => setTimeout(done, 200));
    }
    console.log(`${index} ${code} ${attempts}`);
  }
  process.exit(0);
})();
