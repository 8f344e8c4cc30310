// Reads one FHIR resource a line from stdin, answers {"valid", "messages"} a line. usage: node fhir_validate.cjs NODE_MODULES
const { createRequire } = require("node:module");
const { createInterface } = require("node:readline");
const { Fhir } = createRequire(`${process.argv[2]}/`)("fhir");
const fhir = new Fhir();
createInterface({ input: process.stdin }).on("line", (line) => {
  const { valid, messages } = fhir.validate(line, { errorOnUnexpected: true });
  process.stdout.write(JSON.stringify({ valid, messages: messages.filter((one) => one.severity !== "info") }) + "\n");
});
