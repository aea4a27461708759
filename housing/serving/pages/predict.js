// The page for people: a form made from the column catalogue, a map, and the prediction.

import { amounts, byId, draw, fetchJson, fieldId, fillField, formField, loadWords, make, plain, short, showFault, ticks } from "./common.js";
import { PointMap } from "./map.js";

let words;
let form;
let map;
let written; // how values are written

async function begin() {
  words = await loadWords();
  document.title = words.title;
  form = await fetchJson("/form");
  written = amounts(words, form.error);
  byId("who").textContent = `Predicted by model ${form.model}.`;
  byId("notice").textContent = form.notice;
  byId("simulated").hidden = !form.simulated;
  byId("simulated").textContent = words.simulated;
  byId("fields").replaceChildren(...form.fields.map(field));
  fillDefaults();
  byId("form").addEventListener("submit", (event) => { event.preventDefault(); predict(); });
  byId("form").addEventListener("reset", (event) => { event.preventDefault(); reset(); });
  if (form.location) await beginMap();
}

async function beginMap() {
  const data = await fetchJson("/map");
  document.querySelector("main").classList.add("two");
  byId("map-section").hidden = false;
  map = new PointMap(byId("map"), data, { range: form.value_range, ...form.location, onPick: pick, onMove: describe });
  byId("low").textContent = `${written.number(form.value_range[0], 1)} or less`;
  byId("high").textContent = `${written.number(form.value_range[1], 1)} or more`;
  point();
}

const isAbout = (fault, name) => fault.field.replace(/^\w+\[\d+\]\./, "") === name;

function field(each) {
  const help = `${each.description}.` + (each.trained_minimum === null ? "" :
    ` Training ${words.rows} have ${plain(each.trained_minimum)} to ${plain(each.trained_maximum)}.`);
  const made = formField(each, help);
  if (direction(each.name, 0)) made.addEventListener("input", () => readings());
  return made;
}

// "122.23° W" for a coordinate on the globe, else "".
function direction(name, value) {
  const axis = form.location?.kind === "geographic" ? form.location.columns.indexOf(name) : -1;
  if (axis < 0 || !Number.isFinite(value)) return "";
  return `${plain(Math.abs(value))}\u00b0 ${[["E", "W"], ["N", "S"]][axis][Number(value < 0)]}`;
}

const place = (x, y) => form.location.columns.map((name, i) =>
  direction(name, [x, y][i]) || `${name.replaceAll("_", " ")} ${plain([x, y][i])}`).join(", ");

// A coordinate is typed with a sign; beside it stands what that means.
function readings() {
  for (const name of form.location?.columns ?? []) {
    const text = direction(name, Number.parseFloat(byId(fieldId(name)).value));
    if (text) byId(`${fieldId(name)}-unit`).textContent = text;
  }
}

function fill(values) {
  for (const each of form.fields) fillField(each, values[each.name]);
  readings();
}

const fillDefaults = () => fill(Object.fromEntries(form.fields.map((each) => [each.name, each.default])));

function reset() {
  fillDefaults();
  byId("answer").hidden = true;
  faults([]);
  if (map) point();
}

// Marks the form's location on the map, and the neighbours of a prediction.
function point(neighbours = []) {
  const [x, y] = form.location.columns;
  const typed = (name) => Number(byId(fieldId(name)).value);
  map.show(typed(x), typed(y), neighbours.map((each) => ({ x: each[x], y: each[y] })));
}

function row() {
  const found = {};
  for (const each of form.fields) {
    const text = byId(fieldId(each.name)).value.trim();
    if (text === "") { if (each.optional) found[each.name] = null; }
    else if (each.categories) found[each.name] = text;
    // Other text is sent as it is: the server names the field, the unit and the range.
    else found[each.name] = Number.isFinite(Number(text)) ? Number(text) : text;
  }
  return found;
}

function faults(errors) {
  for (const each of form.fields) showFault(each, errors.find((e) => isAbout(e, each.name))?.message ?? "");
  const first = form.fields.find((each) => errors.some((e) => isAbout(e, each.name)));
  if (first) byId(fieldId(first.name)).focus();
}

async function predict() {
  const button = byId("form").querySelector("[type=submit]");
  button.disabled = true;
  try {
    const answer = await fetchJson("/explain", { [words.request_key]: [row()] });
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
  byId("answer").hidden = false; // the scale is as wide as its place
  byId("predicted").textContent = written.amount(found.predicted);
  interval(found, answer);
  byId("warnings").replaceChildren(...found.warnings.map((text) => make("li", {}, `Caution: ${text}.`)));
  byId("base-value").textContent = `The mean prediction for typical ${words.rows} is ${written.amount(answer.base_value)}. The features change it by:`;
  const widest = Math.max(...answer.contributions.map((c) => Math.abs(c.contribution))) || 1;
  byId("contributions").replaceChildren(...answer.contributions.map((each) => contribution(each, widest)));
  byId("nearby").hidden = !answer.neighbours;
  if (answer.neighbours) {
    byId("neighbours").replaceChildren(...answer.neighbours.map((each) => neighbour(each, found.predicted)));
    if (map) point(answer.neighbours);
  }
  byId("answer").scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
}

function interval(found, answer) {
  const known = found.lower !== null;
  byId("span").hidden = !known;
  if (!known) {
    byId("interval").textContent = "This model has no prediction interval.";
    return;
  }
  const of = Math.round(answer.nominal_coverage * 100);
  byId("interval").textContent =
    `For ${of} of 100 ${words.rows} like this one the ${words.value} lies between ${written.number(found.lower)} and ${written.amount(found.upper)}.`;
  byId("span").replaceChildren(scale(found));
}

// The interval and the prediction on a scale of the values in the training data.
function scale({ lower, predicted, upper }) {
  const width = Math.max(byId("span").clientWidth, 240);
  const marks = ticks(Math.min(form.value_range[0], lower), Math.max(form.value_range[1], upper), width < 480 ? 3 : 4);
  const x = (value) => 2 + (width - 4) * (value - marks[0]) / (marks.at(-1) - marks[0]);
  const picture = draw("svg", { viewBox: `0 0 ${width} 44` });
  picture.append(draw("rect", { class: "track", x: 0, width, y: 4, height: 14, rx: 7 }),
    draw("rect", { class: "range", x: x(lower), width: Math.max(x(upper) - x(lower), 1), y: 4, height: 14, rx: 3 }),
    draw("rect", { class: "point", x: x(predicted) - 2, width: 4, y: 0, height: 22, rx: 2 }));
  marks.forEach((value, i) => picture.append(
    draw("line", { class: "grid", x1: x(value), x2: x(value), y1: 22, y2: 27 }),
    draw("text", { x: x(value), y: 41, "text-anchor": i === 0 ? "start" : i === marks.length - 1 ? "end" : "middle" }, written.number(value))));
  return picture;
}

function contribution(each, widest) {
  const bar = make("div", { class: each.contribution < 0 ? "down" : "up" });
  const width = 50 * Math.abs(each.contribution) / widest;
  bar.style.width = `${width}%`;
  bar.style.left = each.contribution < 0 ? `${50 - width}%` : "50%";
  const sign = each.contribution < 0 || !/[1-9]/.test(written.number(each.contribution)) ? "" : "+";
  return make("tr", {}, make("th", { scope: "row" }, each.feature, make("br"), make("span", { class: "unit" }, each.value)),
    make("td", { class: "bar", "aria-hidden": "true" }, bar), make("td", { class: "number" }, sign + written.number(each.contribution)));
}

function neighbour(each, predicted) {
  const difference = each.value - predicted;
  const size = written.number(Math.abs(difference));
  const text = /[1-9]/.test(size) ? `${size} ${difference < 0 ? "less" : "more"}` : "the same";
  return make("tr", {}, make("td", {}, each.distance ? distance(each) : "same location"),
    make("td", { class: "number" }, written.number(each.value)), make("td", { class: "number" }, text));
}

const distance = (each) => `${short(each.distance)} ${form.location.unit}`;

const nearest = ({ x, y }) => fetchJson(`/nearest?x=${x}&y=${y}`);

async function pick(location) {
  try {
    const found = await nearest(location);
    fill(found.row);
    point();
    const at = place(...form.location.columns.map((name) => found.row[name]));
    byId("map-status").textContent = `The form has the ${words.row} at ${at}; recorded ${words.value} ${written.amount(found.value)}.`;
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
      byId("map-status").textContent = `Nearest ${words.row} ${distance(found)} away, recorded ${words.value} ${written.amount(found.value)}. Enter selects it.`;
    }
  }, 150);
}

begin().catch((error) => {
  byId("problem").hidden = false;
  byId("problem").textContent = error.message;
});
