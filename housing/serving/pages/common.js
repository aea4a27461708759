// Shared by both pages: requests, elements, number formats. Text is always set as text, never as
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
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
export const dollars = (value) => (value < 0 ? "\u2212$" : "$") + whole.format(Math.abs(value));
export const rounded = (value, to = 100) => dollars(Math.round(value / to) * to);
export const percent = (value, digits = 0) => (100 * value).toFixed(digits) + " %";
export const day = (text) => text === null ? "" : text.slice(0, 16).replace("T", " ");
