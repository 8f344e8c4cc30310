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

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  svg.setAttribute("class", "ph-icon");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", document.body.dataset.icons + "#" + name);
  svg.append(use);
  return svg;
}

export function byId(id) { return document.getElementById(id); }
