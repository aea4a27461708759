// The people's page: a form made from the catalogue, a map, and the answer in words and bars.

import { ask, byId, dollars, make, rounded } from "./common.js";
import { DistrictMap } from "./map.js";

let form;
let map;

async function begin() {
  form = await ask("/form");
  byId("who").textContent = `Answered by model ${form.model}.`;
  byId("notice").textContent = form.notice;
  byId("fields").replaceChildren(...form.fields.map(field));
  fill(Object.fromEntries(form.fields.map((each) => [each.name, each.typical])));
  byId("form").addEventListener("submit", (event) => { event.preventDefault(); predict(); });
  byId("form").addEventListener("reset", (event) => { event.preventDefault(); typical(); });
  const data = await ask("/map");
  map = new DistrictMap(byId("map"), data, { onPick: pick, onMove: say });
  byId("low").textContent = rounded(map.low, 1000);
  byId("high").textContent = rounded(map.high, 1000) + " and more";
  const [x, y] = where();
  map.show(x, y, []);
}

function field(each) {
  const id = `field-${each.name}`;
  const help = `${each.meaning}.` + (each.trained_from === null ? "" :
    ` The model has seen ${plain(each.trained_from)} to ${plain(each.trained_to)}.`);
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

function typical() {
  fill(Object.fromEntries(form.fields.map((each) => [each.name, each.typical])));
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
    // What is no number goes as it is: the server names the field, the unit and the range.
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
    const answer = await ask("/explain", { districts: [district()] });
    byId("problem").hidden = true;
    faults([]);
    show(answer);
  } catch (error) {
    byId("answer").hidden = true;
    byId("problem").hidden = false;
    byId("problem").textContent = error.errors.length ? "Please look at the marked field." : error.message;
    faults(error.errors);
  } finally {
    button.disabled = false;
  }
}

function show(answer) {
  const found = answer.predictions[0];
  byId("who").textContent = `Answered by model ${answer.model}, champion since ${answer.since.slice(0, 10)}.`;
  byId("price").textContent = rounded(found.predicted);
  interval(found, answer);
  byId("warnings").replaceChildren(...found.warnings.map((words) => make("li", {}, `Take care: ${words}.`)));
  byId("typical").textContent = `A typical district costs ${rounded(answer.typical)}; from there:`;
  const widest = Math.max(...answer.contributions.map((c) => Math.abs(c.amount)), 1);
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
    byId("interval").textContent = "How far off it may be is not known for this model.";
    return;
  }
  const of = Math.round(answer.nominal * 100);
  byId("interval").textContent =
    `In ${of} of 100 districts like this one the price lies between ${rounded(found.lower)} and ${rounded(found.upper)}.`;
  const top = Math.max(found.upper * 1.1, map ? map.high : 0);
  const left = (value) => `${(100 * value / top).toFixed(2)}%`;
  byId("span-bar").style.left = left(found.lower);
  byId("span-bar").style.width = left(found.upper - found.lower);
  byId("span-mark").style.left = left(found.predicted);
}

function contribution(each, widest) {
  const bar = make("div", { class: each.amount < 0 ? "down" : "up" });
  const width = 50 * Math.abs(each.amount) / widest;
  bar.style.width = `${width}%`;
  bar.style.left = each.amount < 0 ? `${50 - width}%` : "50%";
  const sign = each.amount < 0 ? "" : "+";
  return make("tr", {}, make("th", { scope: "row" }, each.feature, make("br"), make("span", { class: "unit" }, each.value)),
    make("td", { class: "bar", "aria-hidden": "true" }, bar), make("td", { class: "number" }, sign + rounded(each.amount)));
}

function neighbour(each, predicted) {
  const away = each.kilometres < 0.1 ? "same place" : `${each.kilometres.toFixed(1)} km`;
  const difference = each.price - predicted;
  const words = Math.abs(difference) < 50 ? "the same" :
    `${rounded(Math.abs(difference))} ${difference < 0 ? "less" : "more"}`;
  return make("tr", {}, make("td", {}, away), make("td", { class: "number" }, dollars(each.price)), make("td", {}, words));
}

async function nearest(place) {
  return ask(`/district?x=${place.x.toFixed(4)}&y=${place.y.toFixed(4)}`);
}

async function pick(place) {
  try {
    const found = await nearest(place);
    fill(found.district);
    const [x, y] = where();
    map.show(x, y, []);
    byId("map-said").textContent = `Filled in the district at ${y.toFixed(2)} north, ${(-x).toFixed(2)} west; recorded price ${dollars(found.price)}.`;
    await predict();
  } catch (error) {
    byId("map-said").textContent = error.message;
  }
}

let waiting;
function say(place) {
  clearTimeout(waiting);
  waiting = setTimeout(async () => {
    const found = await nearest(place).catch(() => null);
    if (found) {
      byId("map-said").textContent = `Nearest district ${found.kilometres.toFixed(1)} km away, recorded price ${dollars(found.price)}. Enter picks it.`;
    }
  }, 150);
}

begin().catch((error) => {
  byId("problem").hidden = false;
  byId("problem").textContent = error.message;
});
