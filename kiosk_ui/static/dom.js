/* Building page parts without ever parsing text as HTML. */

const SVG = "http://www.w3.org/2000/svg";

/** el("p.say", {lang: "en"}, "text" or node, …): strings become text, null and "" are left out. */
export function el(spec, attributes, ...children) {
  const [tag, ...classes] = spec.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const name of Object.keys(attributes || {})) node.setAttribute(name, attributes[name]);
  for (const child of children) if (child !== null && child !== "") node.append(child);
  return node;
}

let sprite = document.body.dataset.icons; // becomes "" once the sprite lives in the page itself

/** Take the sprite into the page: an icon that must be fetched would be missing just when the line is cut. */
export async function keepIcons() {
  const answer = await fetch(sprite);
  if (!answer.ok) return;
  const parsed = new DOMParser().parseFromString(await answer.text(), "image/svg+xml").documentElement;
  const kept = document.importNode(parsed, true);
  kept.setAttribute("hidden", "");
  kept.setAttribute("aria-hidden", "true");
  document.body.append(kept);
  for (const use of document.querySelectorAll("use")) use.setAttribute("href", use.getAttribute("href").replace(sprite, ""));
  sprite = "";
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  svg.setAttribute("class", "ph-icon");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", sprite + "#" + name);
  svg.append(use);
  return svg;
}

export function byId(id) { return document.getElementById(id); }
