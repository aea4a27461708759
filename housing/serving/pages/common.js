// Shared by all pages: requests, elements, fields of a form, number formats. Text is always set as text, never as
// markup, so no delivered or typed value can become code.

export async function fetchJson(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw Object.assign(new Error("The server does not respond. Is it running?"), { errors: [] });
  }
  const content = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw Object.assign(new Error(content.detail || response.statusText), { errors: content.errors || [] });
  }
  return content;
}

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  const shown = children.filter((child) => child !== null && child !== undefined);
  element.append(...shown.map((child) => typeof child === "string" ? child.replaceAll(" %", "\u00a0%") : child));
  return element;
}

// An SVG element.
export function draw(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Round values from at or below `low` to at or above `high`, about `wanted` steps.
export function ticks(low, high, wanted) {
  const rough = (high - low || Math.abs(high) || 1) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((each) => each * power >= rough * 0.999) * power;
  const first = Math.floor(low / step + 1e-9);
  const count = Math.max(Math.ceil(high / step - 1e-9) - first, 1);
  return Array.from({ length: count + 1 }, (_, i) => (first + i) * step);
}

// Text whose parts between backticks are code.
export const prose = (text) => (text ?? "").split("`").map((part, i) => i % 2 ? make("code", {}, part) : part);

export const byId = (id) => document.getElementById(id);

// A column may have any name, an element's id no space.
export const fieldId = (name) => `field-${encodeURIComponent(name)}`;

export const plain = (value) => String(Number(value.toPrecision(7)));

// A column as a field: its label and unit, the control, and a place for a fault.
export function formField(each, title) {
  const id = fieldId(each.name);
  const unit = [each.categories ? "" : each.unit, each.optional ? "may be empty" : ""].filter(Boolean).join(", ");
  const control = each.categories
    ? make("select", { id, name: each.name }, each.optional ? make("option", { value: "" }) : null,
      ...each.categories.map((name) => make("option", { value: name }, name)))
    : make("input", { id, name: each.name, type: "text", inputmode: "decimal", autocomplete: "off" });
  control.title = title;
  control.setAttribute("aria-describedby", `${id}-fault`);
  return make("div", {},
    make("label", { for: id }, `${each.label} `, make("span", { class: "unit", id: `${id}-unit` }, unit)), control,
    make("p", { id: `${id}-fault`, class: "fault", hidden: "" }));
}

export function fillField(each, value) {
  byId(fieldId(each.name)).value = value === null || value === undefined ? "" :
    typeof value === "number" ? plain(value) : value;
}

// Shows what is wrong with a field; "" if nothing is.
export function showFault(each, text) {
  const shown = byId(`${fieldId(each.name)}-fault`);
  shown.hidden = !text;
  shown.textContent = text;
  byId(fieldId(each.name)).setAttribute("aria-invalid", text ? "true" : "false");
}

// The problem's words, also put where an element names one.
export async function loadWords() {
  const words = await fetchJson("/words");
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = words[element.dataset.word];
  return words;
}

// How values of the target are written: `number` in multiples of the power of ten at or below a
// hundredth of the model's error (of four digits without one), `amount` with its unit too.
export function amounts({ unit, symbol }, error) {
  const exponent = (size) => size > 0 && Number.isFinite(size) ? Math.floor(Math.log10(size) + 1e-9) : 0;
  const number = (value, coarser = 0) => {
    const power = (error > 0 ? exponent(error / 100) : exponent(Math.abs(value)) - 3) + coarser;
    const size = Math.abs(value);
    const digits = Math.max(-power, 0);
    const rounded = power > 0 ? Math.round(size / 10 ** power) * 10 ** power : size;
    const text = digits > 12 ? size.toPrecision(4) : rounded.toLocaleString("en-US", { maximumFractionDigits: digits });
    return (value < 0 && /[1-9]/.test(text) ? "\u2212" : "") + symbol + text;
  };
  return { number, amount: (value) => number(value) + (symbol || !unit ? "" : ` ${unit}`) };
}

// A distance: whole, of a short one two digits.
export const short = (value) => value < 10 ? String(Number(value.toPrecision(2))) : Math.round(value).toLocaleString("en-US");
export const percent = (value, digits = 0) => (100 * value).toFixed(digits) + " %";
export const day = (text) => text === null ? "" : `${text.slice(0, 16).replace("T", " ")} UTC`;
