// The operator's page: read from /operator/data, again every ten seconds.

import { ask, byId, day, dollars, make, percent, rounded } from "./common.js";

const SVG = "http://www.w3.org/2000/svg";
const EVERY = 10_000; // milliseconds

function draw(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

async function refresh() {
  try {
    const data = await ask("/operator/data");
    show(data);
    byId("said").textContent = `As of ${new Date().toLocaleTimeString()}.`;
  } catch (error) {
    byId("said").textContent = error.message;
  }
  setTimeout(refresh, EVERY);
}

function show(data) {
  alarms(data);
  byId("cards").replaceChildren(...cards(data));
  byId("errors").replaceChildren(errors(data.errors));
  byId("nights").replaceChildren(table(data.nights, {
    run: "Run", started_at: "Began", kind: "Kind", status: "Status", outcome: "Outcome", message: "In words",
  }, "No night has run yet."));
  byId("ledger").replaceChildren(table(data.ledger, {
    seq: "Line", at: "When", operation: "What", from: "From", to: "To", actor: "Who", reason: "Why",
  }, "Nothing has been promoted yet."));
  byId("live").replaceChildren(live(data.live || []));
  byId("shadow").replaceChildren(table(data.shadow, {
    models: "Models", day: "Day", rows: "Answers", mean: "Mean difference", quantiles: "Half / 90 % within / largest", higher: "Shadow higher", beyond: "Outside the interval",
  }, "No shadow was asked: HOUSING_SERVE__SHADOW names one."));
  byId("ready").replaceChildren(table(data.retained, {
    model: "Model", state: "State", tried_at: "Tried", seconds: "Seconds", message: "In words",
  }, "No champion is kept yet."));
  byId("drift").replaceChildren(drift(data.drift || null));
}

function alarms(data) {
  const found = [...data.status.needs_a_person, ...(data.alarms || [])];
  if (data.behind) found.unshift(`The ledger's champion cannot be served: ${data.behind}`);
  if (data.ledger_error) found.unshift(`The ledger cannot be read: ${data.ledger_error}`);
  const shown = byId("alarms");
  if (shown.textContent !== found.join("")) { // else a screen reader would say it again
    shown.replaceChildren(...found.map((words) => make("div", { class: "alarm" }, words)));
  }
}

function card(title, value, below) {
  return make("div", { class: "card" }, make("span", {}, title), make("strong", {}, value || "\u2013"), make("span", {}, below || ""));
}

function cards(data) {
  const { champion, dataset, last_night: night } = data.status;
  const last = data.errors[data.errors.length - 1];
  return [
    card("Champion", champion && champion.model, champion && `${champion.family}, since ${day(champion.since)}`),
    card("Answering here", data.serving, data.behind ? "behind the ledger" : !champion || champion.model === data.serving ? "as the ledger says" : `switching to ${champion.model}`),
    card("Error (RMSE)", last && rounded(last.value), last && `${rounded(last.lower)} to ${rounded(last.upper)}`),
    card("Interval holds", data.coverage && percent(data.coverage.value, 1), data.coverage && `of ${data.coverage.rows} test districts; ${percent(data.coverage.nominal)} promised`),
    card("Dataset", dataset && dataset.dataset, dataset && dataset.rows !== null ? `${dataset.rows} districts` : ""),
    card("Last night", night && (night.outcome || night.status), night && day(night.started_at)),
    card("Rollback", data.readiness && data.readiness.state, data.readiness && data.readiness.message),
    card("Blocks", data.blocks === undefined ? null : String(data.blocks.length), (data.blocks || []).join(", ") || "nothing is blocked"),
  ];
}

function table(rows, columns, none) {
  if (!rows.length) return make("p", { class: "hint" }, none);
  const head = make("tr", {}, ...Object.values(columns).map((title) => make("th", { scope: "col" }, title)));
  const text = (row, name) => {
    const value = row[name];
    return value === null || value === undefined ? "" : /_at$|^at$/.test(name) ? day(value) : String(value);
  };
  const body = rows.map((row) => make("tr", {}, ...Object.keys(columns).map((name) => make("td", marks(name, row[name]), text(row, name)))));
  return make("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Table" },
    make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)));
}

// Green and red, and never by colour alone: the words say it too.
function marks(name, value) {
  if (name !== "state") return {};
  return { class: value === "ready" ? "good" : value === "NOT READY" || value === "alarm" ? "bad" : "" };
}

function errors(nights) {
  if (!nights.length) return make("p", { class: "hint" }, "No model has been measured yet.");
  const [width, height, left, bottom] = [720, 240, 70, 30];
  const low = Math.min(...nights.map((n) => n.lower));
  const high = Math.max(...nights.map((n) => n.upper));
  const y = (value) => 12 + (height - bottom - 24) * (high - value) / (high - low || 1);
  const x = (i) => left + 20 + (width - left - 50) * (nights.length > 1 ? i / (nights.length - 1) : 0.5);
  const words = nights.map((n) => `${day(n.at)} ${n.model} ${rounded(n.value)}`).join("; ");
  const chart = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Error night by night: ${words}` });
  for (const value of [low, (low + high) / 2, high]) {
    chart.append(draw("line", { class: "axis", x1: left, x2: width, y1: y(value), y2: y(value) }));
    chart.append(draw("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, rounded(value)));
  }
  chart.append(draw("polyline", { class: "line", points: nights.map((n, i) => `${x(i)},${y(n.value)}`).join(" ") }));
  const every = Math.ceil(nights.length / 8);
  nights.forEach((night, i) => {
    chart.append(draw("line", { class: "whisker", x1: x(i), x2: x(i), y1: y(night.lower), y2: y(night.upper) }));
    const dot = draw("circle", { class: night.outcome === "promote" ? "dot" : "dot kept", cx: x(i), cy: y(night.value), r: 5 });
    dot.append(draw("title", {}, `${day(night.at)}: ${night.model}, ${night.outcome}, ${dollars(night.value)}`));
    chart.append(dot);
    if (i % every === 0) chart.append(draw("text", { x: x(i), y: height - 8, "text-anchor": "middle" }, `${night.model}`));
  });
  return chart;
}

function live(rows) {
  return table(rows, {
    model: "Model", rows: "Labelled answers", rmse: "RMSE", interval: "95 % interval", covered: "Inside the interval", first: "From", last: "To",
  }, "No answer has a true price yet.");
}

function drift(found) {
  if (!found) return make("p", { class: "hint" }, "Not looked at yet.");
  return make("div", {}, make("p", {}, found.message),
    table(found.rows, { name: "What", effect: "Effect", q_value: "q-value", state: "State", message: "In words" }, "Nothing differs."));
}

refresh();
