/* Every word the screens say, in both languages, and the colour, icon and sound of each outcome. */

/** outcome -> [colour class, icon, zh-CN, en, sound] */
const TABLE = {
  identified: ["ok", "circle-check", "已识别", "Identified", "accepted"],
  checked_in: ["ok", "circle-check", "已签到", "Checked in", "accepted"],
  already_done: ["info", "history", "已扫过", "Seen already", "attention"],
  expired: ["warn", "hourglass", "已过期", "Expired", "attention"],
  not_bound: ["warn", "unlink", "未绑定", "Not bound", "attention"],
  too_early: ["warn", "clock", "未到时间", "Too early", "attention"],
  too_late: ["warn", "clock", "已过时间", "Too late", "attention"],
  ambiguous: ["warn", "users-round", "不止一人", "Several match", "attention"],
  foreign_code: ["warn", "qr-code", "外来码", "Not our code", "attention"],
  wrong_kind: ["warn", "id-card", "类型不符", "Wrong kind", "attention"],
  pay_code: ["warn", "wallet", "付款码", "Payment code", "attention"],
  busy: ["warn", "hourglass", "请稍候", "Please wait", "busy"],
  forged: ["stop", "shield-alert", "未通过校验", "Not verified", "refused"],
  replayed: ["stop", "ban", "已被用过", "Already used", "refused"],
  unknown_code: ["stop", "circle-question-mark", "查无此码", "Unknown code", "refused"],
  wrong_station: ["stop", "map-pin-off", "窗口不对", "Wrong desk", "refused"],
  wrong_ward: ["stop", "map-pin-off", "病区不符", "Wrong ward", "refused"],
  discharged: ["stop", "door-open", "已出院", "Discharged", "refused"],
  his_unavailable: ["down", "server-off", "系统未回应", "No answer", "busy"],
  his_unknown: ["down", "triangle-alert", "结果未明", "Not yet clear", "busy"],
};

/** What is shown for an outcome; one this page does not know yet is shown as unclear, never as success. */
export function outcomeWords(outcome) {
  const [tone, icon, zh, en, sound] = TABLE[outcome] || TABLE.his_unknown;
  return { tone, icon, word: { "zh-CN": zh, en }, sound };
}

const TEXT = {
  "language": ["English", "中文"], // the button names the other language
  "answer.title": ["扫码结果", "Scan result"],
  "idle.counter": ["请出示电子就诊卡", "Please show the e-card"],
  "idle.ward": ["请扫患者腕带", "Scan the wristband"],
  "idle.kiosk": ["请把电子就诊卡对准扫码口", "Hold the e-card to the scanner"],
  "recent.title": ["最近 10 次扫码", "Last 10 scans"],
  "recent.empty": ["还没有扫码。结果会从这里往下排", "No scans yet. Results will be listed here"],
  "recent.note": ["姓名显示 {n} 秒后自动清除", "Names are cleared after {n} seconds"],
  "offline.title": ["与服务器断开,正在重连。", "No connection to the server; reconnecting."],
  "offline.hint": ["现在扫码不会显示,请先人工核对", "Scans do not show now: check by hand"],
  "trouble.his": ["医院系统没有回应,现在查不到患者,请先人工核对", "The hospital system does not answer: check patients by hand"],
  "trouble.device": ["扫码器没有连上。请看电源和数据线,或找信息科", "The scanner is not connected. Check power and cable, or call IT"],
  "trouble.none": ["这个站点还没有扫码器。请信息科添加", "This station has no scanner yet. Ask IT to add one"],
  "lamp.server": ["服务器", "Server"],
  "lamp.his": ["医院系统", "Hospital system"],
  "state.online": ["在线", "online"],
  "state.degraded": ["不稳定", "unsteady"],
  "state.connecting": ["连接中", "connecting"],
  "state.backoff": ["重连中", "reconnecting"],
  "state.failed": ["故障", "fault"],
  "state.disabled": ["已停用", "switched off"],
  "state.offline": ["断开", "offline"],
  "state.unknown": ["未知", "unknown"],
  "state.missing": ["未安装", "none"],
  "lamp.device": ["扫码器", "Scanner"],
  "sound.locked": ["点一下开启声音", "Tap to enable sound"],
  "sound.on": ["声音已开", "Sound on"],
  "sound.off": ["已静音", "Muted"],
  "fact.sex": ["性别", "Sex"],
  "fact.age": ["年龄", "Age"],
  "fact.card": ["就诊卡", "Card"],
  "fact.id": ["证件", "ID"],
  "fact.kind": ["就诊", "Visit"],
  "fact.ward": ["病区", "Ward"],
  "fact.bed": ["床号", "Bed"],
  "fact.admission": ["住院号", "Admission"],
  "kind.outpatient": ["门诊", "Outpatient"],
  "kind.inpatient": ["住院", "Inpatient"],
  "sex.male": ["男", "Male"],
  "sex.female": ["女", "Female"],
  "sex.unknown": ["未说明", "Not stated"],
  "last4": ["尾号 {n}", "ends {n}"],
  "age": ["{n} 岁", "{n}"],
  "first": ["首次扫码 {at}", "First scanned {at}"],
  "pair.title": ["配对这块屏幕", "Pair this screen"],
  "pair.label": ["配对码(8 位)", "Pairing code (8 characters)"],
  "pair.hint": ["在服务器上运行下面的命令即可得到,只能用一次", "Run this command on the server to get one; it works once"],
  "pair.send": ["配对", "Pair"],
  "pair.sending": ["正在配对…", "Pairing…"],
  "pair.retry": ["用原来的配对再试一次", "Try again with the old pairing"],
  "pair.short": ["配对码是 8 位字母和数字,请核对后再输入", "The pairing code has 8 letters and digits: check it and enter it again"],
  "pair.unreachable": ["没有连上服务器。请看网线,再点一次“配对”", "The server cannot be reached. Check the network cable and press Pair again"],
};

let language = "zh-CN";

export function setLanguage(value) { language = value === "en" ? "en" : "zh-CN"; }
export function getLanguage() { return language; }
export function otherLanguage() { return language === "en" ? "zh-CN" : "en"; }

/** The text of `key` in the language chosen (or in `inLanguage`), with {n}, {at} filled in. */
export function t(key, values, inLanguage) {
  const pair = TEXT[key];
  if (!pair) return "";
  let text = pair[(inLanguage || language) === "en" ? 1 : 0];
  for (const name of Object.keys(values || {})) text = text.replace("{" + name + "}", values[name]);
  return text;
}

/** One sentence out of a {"zh-CN", "en"} pair from the server. */
export function pick(say, inLanguage) {
  if (!say) return "";
  return say[inLanguage || language] || say["zh-CN"] || say.en || "";
}

export function sexWord(sex) {
  const known = { M: "male", F: "female", male: "male", female: "female", "男": "male", "女": "female" };
  return sex ? t("sex." + (known[sex] || "unknown")) : "";
}

const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false };

/** Hours, minutes and seconds in the hospital's zone, whatever zone the screen's PC is set to. */
export function clockTime(ms) {
  return new Intl.DateTimeFormat("zh-CN", Object.assign({ timeZone: "Asia/Shanghai" }, CLOCK)).format(ms);
}

/** Date and weekday as 11月22日 周日, or Sun 22 Nov. */
export function dayText(ms) {
  const zone = { timeZone: "Asia/Shanghai" };
  if (language === "en") {
    return new Intl.DateTimeFormat("en-GB", Object.assign({ weekday: "short", day: "numeric", month: "short" }, zone)).format(ms);
  }
  const day = new Intl.DateTimeFormat("zh-CN", Object.assign({ month: "long", day: "numeric" }, zone)).format(ms);
  return day + " " + new Intl.DateTimeFormat("zh-CN", Object.assign({ weekday: "short" }, zone)).format(ms);
}
