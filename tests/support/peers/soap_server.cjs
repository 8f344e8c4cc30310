// A SOAP service nobody here wrote: npm soap, serving our two WSDLs. usage: node soap_server.cjs NODE_MODULES READY_FILE HIS_WSDL TYPED_WSDL
// Ours are only: the WSDLs, two people's worth of data, and GET /seen, the arguments of every call as the server understood them.
const fs = require("node:fs");
const http = require("node:http");
const { createRequire } = require("node:module");
const [modules, ready, hisWsdl, typedWsdl] = process.argv.slice(2);
const soap = createRequire(`${modules}/`)("soap");
const seen = [], cards = new Map(), booked = new Map();

function refuseStrangers(headers) {
  if (headers?.Auth?.token !== "token-of-tests") {
    throw { Fault: { faultcode: "soap:Client", faultstring: "令牌无效", statusCode: 500 } };
  }
}
const field = (xml, name) => new RegExp(`<${name}>([^]*?)</${name}>`).exec(xml)?.[1] ?? ""; // as it is written, still escaped
const escape = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
const said = (code, items) => `<?xml version="1.0" encoding="gb2312"?><Response><returnCode>${code}</returnCode><returnDesc>好</returnDesc>${items}</Response>`;
const patient = (name, card) =>
  `<patientNo>N1</patientNo><patientName>${name}</patientName><sexCode>1</sexCode><birthday>19850312</birthday><idenNo/><mobile/>` +
  `<isDead>0</isDead><Cards><Card><cardNo>${card}</cardNo><cardType>01</cardType><cardState>1</cardState></Card></Cards>`;

function operation(name, answer) {
  return (args, _callback, headers) => {
    seen.push({ name, args });
    refuseStrangers(headers);
    return { [`${name}Result`]: answer(args) };
  };
}
const one = (inner) => said("1", `<Items><Item>${inner}</Item></Items>`);
const his = {
  HelloWorld: () => one("<sysTime>2026-11-24 08:00:00</sysTime>"),
  GetPatientCardNo: ({ cardNo }) => (cardNo === "nobody" ? said("0", "") : one(patient(cards.get(cardNo) ?? "王小明", escape(cardNo ?? "")))),
  GetDeptInfo: () => `<![CDATA[${said("1", "<Items><Item><deptCode>D1</deptCode><deptName>内科 &amp; 外科</deptName></Item></Items>")}]]>`,
  InsertPatientInfo: ({ input }) => {
    const key = field(input, "opKey"), name = field(input, "patientName");
    if (booked.has(key)) return said("2", "");
    cards.set("C9", name);
    booked.set(key, `<cardNo>C9</cardNo><Patients><Patient>${patient(name, "C9")}</Patient></Patients>`);
    return one(booked.get(key));
  },
  GetOperState: ({ opKey }) => (booked.has(opKey) ? one(booked.get(opKey)) : said("0", "")),
};
const methods = Object.fromEntries(Object.entries(his).map(([name, answer]) => [name, operation(name, answer)]));
const typed = {
  GetPatient(args) {
    seen.push({ name: "GetPatient", args });
    if (args.query.value === "nobody") return { code: "NONE" };
    const card = (no) => ({ no, kind: "01" });
    return { code: "OK", patient: { patientNo: "N1", name: "𠮷田䶮 <&>", sex: "1", born: "1985-03-12",
      cards: { card: [card(args.query.value), card("C2")] }, balance: "12.30" } };
  },
};

const server = http.createServer((req, res) => {
  if (req.url === "/seen") res.end(JSON.stringify(seen));
  else res.writeHead(404).end();
});
server.listen(0, "127.0.0.1", () => {
  soap.listen(server, "/soap/HisService.asmx", { HisService: { HisServiceSoap: methods } }, fs.readFileSync(hisWsdl, "utf8"));
  soap.listen(server, "/typed", { TypedService: { TypedPort: typed } }, fs.readFileSync(typedWsdl, "utf8"));
  fs.writeFileSync(ready, String(server.address().port));
});
