// The page for people: a form made from the column catalogue, a map, and the prediction.

import { byId, dollars, fetchJson, make, rounded } from "./common.js";
import { DistrictMap } from "./map.js";

let form;
let map;

async function begin() {
  form = await fetchJson("/form");
  byId("who").textContent = `Predicted by model ${form.model}.`;
  byId("notice").textContent = form.notice;
  byId("fields").replaceChildren(...form.fields.map(field));
  fillDefaults();
  byId("form").addEventListener("submit", (event) => { event.preventDefault(); predict(); });
  byId("form").addEventListener("reset", (event) => { event.preventDefault(); reset(); });
  const data = await fetchJson("/map");
  map = new DistrictMap(byId("map"), data, { onPick: pick, onMove: describe });
  byId("low").textContent = rounded(map.low, 1000);
  byId("high").textContent = rounded(map.high, 1000) + " or more";
  const [x, y] = where();
  map.show(x, y, []);
}

function field(each) {
  const id = `field-${each.name}`;
  const help = `${each.description}.` + (each.trained_minimum === null ? "" :
    ` Training districts have ${plain(each.trained_minimum)} to ${plain(each.trained_maximum)}.`);
  const unit = each.categories ? "" : each.unit + (each.optional ? ", may be empty" : "");
  const input = each.categories
    ? make("select", { id, name: each.name }, ...each.categories.map((c) => make("option", { value: c }, c)))
    : make("input", { id, name: each.name, type: "text", inputmode: "decimal", autocomplete: "off" });
  input.title = help;
  input.setAttribute("aria-describedby", `${id}-fault`);
  return make("div", {},
    make("label", { for: id }, each.label + " ", make("span", { class: "unit" }, unit)), input,
    make("p", { id: `${id}-fault`, class: "fault", hidden: "" }));
}

const plain = (value) => String(Math.round(value * 1e4) / 1e4);

function fill(values) {
  for (const each of form.fields) {
    const value = values[each.name];
    byId(`field-${each.name}`).value = value === null || value === undefined ? "" :
      typeof value === "number" ? plain(value) : value;
  }
}

const fillDefaults = () => fill(Object.fromEntries(form.fields.map((each) => [each.name, each.default])));

function reset() {
  fillDefaults();
  byId("answer").hidden = true;
  faults([]);
  const [x, y] = where();
  map?.show(x, y, []);
}

const where = () => form.coordinates.map((name) => Number(byId(`field-${name}`).value));

function district() {
  const found = {};
  for (const each of form.fields) {
    const text = byId(`field-${each.name}`).value.trim();
    if (each.categories) found[each.name] = text;
    else if (text === "") { if (each.optional) found[each.name] = null; }
    // Other text is sent as it is: the server names the field, the unit and the range.
    else found[each.name] = Number.isFinite(Number(text)) ? Number(text) : text;
  }
  return found;
}

function faults(errors) {
  for (const each of form.fields) {
    const input = byId(`field-${each.name}`);
    const fault = byId(`field-${each.name}-fault`);
    const error = errors.find((e) => e.field.endsWith(`.${each.name}`));
    input.setAttribute("aria-invalid", error ? "true" : "false");
    fault.hidden = !error;
    fault.textContent = error ? error.message : "";
  }
  const first = form.fields.find((each) => errors.some((e) => e.field.endsWith(`.${each.name}`)));
  if (first) byId(`field-${first.name}`).focus();
}

async function predict() {
  const button = byId("form").querySelector("[type=submit]");
  button.disabled = true;
  try {
    const answer = await fetchJson("/explain", { districts: [district()] });
    byId("problem").hidden = true;
    faults([]);
    show(answer);
  } catch (error) {
    byId("answer").hidden = true;
    byId("problem").hidden = false;
    byId("problem").textContent = error.errors.length ? "Please correct the marked field." : error.message;
    faults(error.errors);
  } finally {
    button.disabled = false;
  }
}

function show(answer) {
  const found = answer.predictions[0];
  byId("who").textContent = `Predicted by model ${answer.model}, champion since ${answer.champion_since.slice(0, 10)}.`;
  byId("price").textContent = rounded(found.predicted);
  interval(found, answer);
  byId("warnings").replaceChildren(...found.warnings.map((text) => make("li", {}, `Caution: ${text}.`)));
  byId("base-value").textContent = `A typical district costs ${rounded(answer.base_value)}. The features change this by:`;
  const widest = Math.max(...answer.contributions.map((c) => Math.abs(c.contribution)), 1);
  byId("contributions").replaceChildren(...answer.contributions.map((each) => contribution(each, widest)));
  byId("neighbours").replaceChildren(...answer.neighbours.map((each) => neighbour(each, found.predicted)));
  byId("answer").hidden = false;
  const [x, y] = where();
  const [east, north] = form.coordinates;
  map?.show(x, y, answer.neighbours.map((each) => ({ x: each[east], y: each[north] })));
  byId("answer").scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}

function interval(found, answer) {
  const known = found.lower !== null;
  byId("span-bar").parentElement.hidden = !known;
  if (!known) {
    byId("interval").textContent = "This model has no prediction interval.";
    return;
  }
  const of = Math.round(answer.nominal_coverage * 100);
  byId("interval").textContent =
    `In ${of} of 100 districts like this one the price lies between ${rounded(found.lower)} and ${rounded(found.upper)}.`;
  const top = Math.max(found.upper * 1.1, map ? map.high : 0);
  const left = (value) => `${(100 * value / top).toFixed(2)}%`;
  byId("span-bar").style.left = left(found.lower);
  byId("span-bar").style.width = left(found.upper - found.lower);
  byId("span-mark").style.left = left(found.predicted);
}

function contribution(each, widest) {
  const bar = make("div", { class: each.contribution < 0 ? "down" : "up" });
  const width = 50 * Math.abs(each.contribution) / widest;
  bar.style.width = `${width}%`;
  bar.style.left = each.contribution < 0 ? `${50 - width}%` : "50%";
  const sign = each.contribution < 0 ? "" : "+";
  return make("tr", {}, make("th", { scope: "row" }, each.feature, make("br"), make("span", { class: "unit" }, each.value)),
    make("td", { class: "bar", "aria-hidden": "true" }, bar), make("td", { class: "number" }, sign + rounded(each.contribution)));
}

function neighbour(each, predicted) {
  const away = each.distance_km < 0.1 ? "same location" : `${each.distance_km.toFixed(1)} km`;
  const difference = each.price - predicted;
  const text = Math.abs(difference) < 50 ? "the same" :
    `${rounded(Math.abs(difference))} ${difference < 0 ? "less" : "more"}`;
  return make("tr", {}, make("td", {}, away), make("td", { class: "number" }, dollars(each.price)), make("td", {}, text));
}

async function nearest(location) {
  return fetchJson(`/district?x=${location.x.toFixed(4)}&y=${location.y.toFixed(4)}`);
}

async function pick(location) {
  try {
    const found = await nearest(location);
    fill(found.district);
    const [x, y] = where();
    map.show(x, y, []);
    byId("map-status").textContent = `The form has the district at ${y.toFixed(2)} north, ${(-x).toFixed(2)} west; recorded price ${dollars(found.price)}.`;
    await predict();
  } catch (error) {
    byId("map-status").textContent = error.message;
  }
}

let waiting;
function describe(location) {
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    const found = await nearest(location).catch(() => null);
    if (found) {
      byId("map-status").textContent = `Nearest district ${found.distance_km.toFixed(1)} km away, recorded price ${dollars(found.price)}. Enter selects it.`;
    }
  }, 150);
}

begin().catch((error) => {
  byId("problem").hidden = false;
  byId("problem").textContent = error.message;
});
