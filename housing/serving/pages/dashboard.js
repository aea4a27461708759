// The dashboard: reads /dashboard/data every ten seconds.

import { amounts, byId, day, fetchJson, loadWords, make, percent } from "./common.js";

const SVG = "http://www.w3.org/2000/svg";
const EVERY = 10_000; // milliseconds

let words;
let number, amount; // how values of the target are written, without and with their unit

function draw(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

async function refresh() {
  try {
    words ??= await loadWords();
    show(await fetchJson("/dashboard/data"));
    byId("updated").textContent = `Updated at ${new Date().toLocaleTimeString()}.`;
  } catch (error) {
    byId("updated").textContent = error.message;
  }
  setTimeout(refresh, EVERY);
}

function show(data) {
  alarms(data);
  ({ number, amount } = amounts(words, data.error_history.at(-1)?.value));
  byId("cards").replaceChildren(...cards(data));
  byId("errors").replaceChildren(errorChart(data.error_history));
  const state = { true: "ready", false: "NOT READY", null: "not checked yet" };
  const candidates = data.rollback_candidates.map((row) => ({ ...row, state: state[row.ready] }));
  const tables = {
    live: [data.live_errors.map(liveError), {
      model: "Model", rows: "Labelled predictions", rmse: "RMSE", interval: "95 % interval", coverage: "Inside the interval", first: "From", last: "To",
    }, `No prediction has a true ${words.value} yet.`],
    shadow: [data.shadow.map(shadowDifference), {
      models: "Models", day: "Day", rows: "Predictions", mean: "Mean difference", quantiles: "Median / 90 % / maximum", share_above: "Shadow higher", share_outside: "Outside the interval",
    }, "There is no shadow. HOUSING_SERVE__SHADOW chooses one."],
    rollback: [candidates, { model: "Model", state: "State", checked_at: "Checked", detail: "Message" }, "There is no champion yet."],
    runs: [data.runs, {
      run: "Run", started_at: "Started", kind: "Kind", status: "Status", outcome: "Outcome", message: "Message",
    }, "There is no run yet."],
    promotions: [data.promotions, {
      seq: "Number", at: "Time", operation: "Operation", from: "From", to: "To", actor: "Actor", reason: "Reason",
    }, "Nothing has been promoted yet."],
  };
  for (const [id, parts] of Object.entries(tables)) byId(id).replaceChildren(table(...parts));
  byId("drift").replaceChildren(...drift(data.drift));
}

const liveError = (row) => ({ ...row, rmse: number(row.rmse), interval: `${number(row.lower)} to ${number(row.upper)}` });

const shadowDifference = (row) => ({
  ...row, mean: number(row.mean), quantiles: [row.median, row.p90, row.maximum].map((value) => number(value)).join(" / "),
});

function alarms(data) {
  const found = [...data.status.needs_a_person, ...data.alarms];
  if (data.reload_error) found.unshift(`The champion cannot be loaded: ${data.reload_error}`);
  if (data.promotion_log_error) found.unshift(`The promotion log cannot be read: ${data.promotion_log_error}`);
  if (data.shadow_error) found.unshift(data.shadow_error);
  const shown = byId("alarms");
  if (shown.textContent !== found.join("")) { // else a screen reader would repeat them
    shown.replaceChildren(...found.map((text) => make("div", { class: "alarm" }, text)));
  }
}

function card(title, value, below) {
  return make("div", { class: "card" }, make("span", {}, title), make("strong", {}, value || "\u2013"), make("span", {}, below || ""));
}

function cards(data) {
  const { blocks, champion, dataset, last_nightly_run: run } = data.status;
  const last = data.error_history[data.error_history.length - 1];
  const isCurrent = !champion || champion.model === data.model;
  const { coverage, rollback } = data;
  return [
    card("Champion", champion && champion.model, champion && `${champion.family}, since ${day(champion.since)}`),
    card("Model of this server", data.model, data.reload_error ? "cannot load the champion" : isCurrent ? "the champion" : `switching to ${champion.model}`),
    card("Test error (RMSE)", last && amount(last.value), last && `${number(last.lower)} to ${number(last.upper)}`),
    card("Interval coverage", coverage && percent(coverage.value, 1), coverage && `of ${coverage.rows} test ${words.rows}; ${percent(coverage.nominal)} nominal`),
    card("Dataset", dataset && dataset.dataset, dataset && dataset.rows !== null ? `${dataset.rows} ${words.rows}` : ""),
    card("Last run", run && (run.outcome || run.status), run && day(run.started_at)),
    card("Rollback target", rollback.target, rollback.message),
    card("Blocked", String(blocks.length), blocks.map((each) => each.blocked).join(", ") || "no model or batch"),
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

// Green and red only repeat what the text contains.
function marks(name, value) {
  if (name !== "state") return {};
  return { class: value === "ready" ? "good" : value === "NOT READY" || value === "alarm" ? "bad" : "" };
}

function errorChart(runs) {
  if (!runs.length) return make("p", { class: "hint" }, "No model has been measured yet.");
  const [width, height, left, bottom] = [720, 240, 70, 30];
  const low = Math.min(...runs.map((n) => n.lower));
  const high = Math.max(...runs.map((n) => n.upper));
  const y = (value) => 12 + (height - bottom - 24) * (high - value) / (high - low || 1);
  const x = (i) => left + 20 + (width - left - 50) * (runs.length > 1 ? i / (runs.length - 1) : 0.5);
  const label = runs.map((n) => `${day(n.at)} ${n.model} ${number(n.value)}`).join("; ");
  const chart = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Test error by run: ${label}` });
  for (const value of [low, (low + high) / 2, high]) {
    chart.append(draw("line", { class: "axis", x1: left, x2: width, y1: y(value), y2: y(value) }));
    chart.append(draw("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, number(value)));
  }
  chart.append(draw("polyline", { class: "line", points: runs.map((n, i) => `${x(i)},${y(n.value)}`).join(" ") }));
  const every = Math.ceil(runs.length / 8);
  runs.forEach((run, i) => {
    chart.append(draw("line", { class: "whisker", x1: x(i), x2: x(i), y1: y(run.lower), y2: y(run.upper) }));
    const dot = draw("circle", { class: run.outcome === "promote" ? "dot" : "dot kept", cx: x(i), cy: y(run.value), r: 5 });
    dot.append(draw("title", {}, `${day(run.at)}: ${run.model}, ${run.outcome}, ${number(run.value)}`));
    chart.append(dot);
    if (i % every === 0) chart.append(draw("text", { x: x(i), y: height - 8, "text-anchor": "middle" }, `${run.model}`));
  });
  return chart;
}

function drift(found) {
  if (!found) return [make("p", { class: "hint" }, "The monitor has not run yet.")];
  const columns = { name: "Signal", effect: "Effect", q_value: "q-value", state: "State", message: "Message" };
  return [make("p", {}, found.message), table(found.rows, columns, "No signal is beyond its limit.")];
}

refresh();
