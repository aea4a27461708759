// The dashboard: reads /dashboard/data every ten seconds.

import { amounts, byId, day, draw, fetchJson, loadWords, make, percent, prose, ticks } from "./common.js";

const EVERY = 10_000; // milliseconds
const COLOURS = { ready: "good", "NOT READY": "bad", alarm: "bad", watching: "wait", calm: "quiet" }; // repeat what the text says

let words;
let number, amount; // how values of the target are written, without and with their unit
let runs = []; // of the chart
const plain = (value) => String(Number(value.toPrecision(3)));
const error = (value) => (runs.at(-1).has_unit ? number : plain)(value); // an error by the deciding metric

async function refresh() {
  try {
    words ??= await loadWords();
    show(await fetchJson("/dashboard/data"));
    byId("updated").textContent = `Updated at ${day(new Date().toISOString())}.`;
  } catch (error) {
    byId("updated").textContent = error.message;
  }
  setTimeout(refresh, EVERY);
}

function show(data) {
  alarms(data);
  runs = data.error_history;
  ({ number, amount } = amounts(words, data.error_history.at(-1)?.rmse));
  byId("simulated").hidden = !data.simulated;
  byId("simulated").textContent = words.simulated;
  byId("monitor").hidden = !data.drift;
  byId("tiles").replaceChildren(...tiles(data));
  byId("errors").replaceChildren(...errorChart());
  byId("errors-hint").textContent = errorsHint();
  const state = { true: "ready", false: "NOT READY", null: "not checked" };
  const unchecked = "The next run checks it, and `housing readiness` does so at once.";
  const candidates = data.rollback_candidates.map((row) => ({
    ...row, state: state[row.ready], detail: row.ready === null ? unchecked : row.detail,
    copy: row.onnx_ready === null ? row.onnx_detail : state[row.onnx_ready],
  }));
  const tables = {
    runs: [data.runs.map(run), {
      run: "", started_at: "Started", kind: "Kind", result: "Result", message: "Message", links: "More",
    }, "There is no run yet."],
    live: [data.live_errors.map(liveError), {
      model: "", rows: "Labels", rmse: "RMSE", interval: "95 % interval", coverage: "Inside the interval", dates: "Labelled",
    }, `No prediction has a true ${words.value} yet.`],
    rollback: [candidates, { model: "", state: "State", copy: "ONNX copy", checked_at: "Checked", detail: "Message" }, "There is no champion yet."],
    shadow: [data.shadow.map(shadowDifference), {
      models: "", day: "Day", rows: "Predictions", mean: "Mean difference", quantiles: "Median / 90 % / maximum", share_above: "Shadow higher", share_outside: "Outside the interval",
    }, "There is no shadow. HOUSING_SERVE__SHADOW chooses one."],
    promotions: [data.promotions, {
      seq: "", operation: "Operation", from: "From", to: "To", blocks: "Blocks", at: "Time", actor: "By", reason: "Reason",
    }, "Nothing has been promoted yet."],
  };
  for (const [id, parts] of Object.entries(tables)) byId(id).replaceChildren(table(...parts));
  byId("drift").replaceChildren(...drift(data.drift));
}

function errorsHint() {
  const last = runs.at(-1);
  return last ? `${last.metric} of each run's champion on the test set${last.has_unit ? words.in_unit : ""}, with its 95 % interval.` : "";
}

const run = (row) => ({
  ...row, result: row.outcome ?? row.status,
  links: Object.entries(row.links).map(([name, href]) => make("a", { href }, name)),
});

const liveError = (row) => ({
  ...row, rmse: number(row.rmse), interval: `${number(row.lower)} to ${number(row.upper)}`,
  dates: row.first === row.last ? row.first : `${row.first} to ${row.last}`,
});

const shadowDifference = (row) => ({
  ...row, mean: number(row.mean), quantiles: [row.median, row.p90, row.maximum].map((value) => number(value)).join(" / "),
});

function alarms(data) {
  const found = [...data.status.needs_a_person, ...data.alarms].map((need) => need.message ? need : { message: need, commands: [] });
  const fault = (message) => found.unshift({ message, commands: ["housing doctor"] });
  if (data.reload_error) fault(`The champion cannot be loaded: ${data.reload_error}`);
  if (data.copy_notice) fault(data.copy_notice);
  if (data.promotion_log_error) fault(`The promotion log cannot be read: ${data.promotion_log_error}`);
  if (data.shadow_error) found.unshift({ message: data.shadow_error, commands: [] });
  const shown = byId("alarms");
  const lines = found.map(({ message, commands }) => make("div", { class: "alarm" }, ...prose(message), ...commands.flatMap((command) => [" ", make("code", {}, command)])));
  if (shown.textContent !== lines.map((line) => line.textContent).join("")) { // else a screen reader would repeat them
    shown.replaceChildren(...lines);
  }
}

const tile = (title, value, ...below) => make("div", { class: "tile" },
  make("span", {}, title), make("strong", {}, value || "\u2013"), make("span", {}, ...below.flatMap((part) => typeof part === "string" ? prose(part) : part || "")));

const date = (text) => make("span", { class: "keep" }, day(text));

function tiles(data) {
  const { blocks, champion, dataset, last_nightly_run: run } = data.status;
  const last = data.champion_error;
  const metric = (last ?? data.error_history.at(-1))?.metric ?? "RMSE";
  const corrected = last && last.corrected;
  const isCurrent = !champion || champion.model === data.model;
  const { coverage, rollback } = data;
  return [
    tile("Champion", champion && champion.model, ...(champion ? [`${champion.family}, since `, date(champion.since)] : [])),
    tile("Model of this server", data.model, data.reload_error ? "cannot load the champion" : isCurrent ? "the champion" : `switching to ${champion.model}`),
    tile(`Test error (${metric})`, last && (last.has_unit ? amount : plain)(last.value), last && `95 % interval ${error(last.lower)} to ${error(last.upper)}`),
    tile("Test error without selection bias", corrected && (last.has_unit ? amount : plain)(corrected.value), corrected && `95 % interval ${error(corrected.lower)} to ${error(corrected.upper)}; ${corrected.rows.toLocaleString("en-US")} rows: ${corrected.source}`),
    tile("Interval coverage", coverage && percent(coverage.value, 1), coverage && `of ${coverage.rows.toLocaleString("en-US")} test ${words.rows}; ${percent(coverage.nominal)} nominal`),
    tile("Dataset", dataset && dataset.dataset, dataset && dataset.rows !== null ? `${dataset.rows.toLocaleString("en-US")} ${words.rows}` : ""),
    tile("Last run", run && (run.outcome || run.status), ...(run ? [`${run.run}, `, date(run.started_at)] : [])),
    tile("Rollback target", rollback.target, rollback.message),
    tile("Blocked", blocks.length ? blocks.map((each) => each.blocked).join(", ") : "none", "models and batches"),
  ];
}

// Rows with the columns of `columns`; the first is the row's name.
function table(rows, columns, none) {
  if (!rows.length) return make("p", { class: "hint" }, none);
  const head = make("tr", {}, ...Object.values(columns).map((title) => make("th", { scope: "col" }, title)));
  const body = rows.map((row) => make("tr", {}, ...Object.keys(columns).map((name, i) => cell(row[name], name, i ? columns[name] : ""))));
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" },
    make("table", { class: "stack" }, make("thead", {}, head), make("tbody", {}, ...body)));
}

function cell(value, name, title) {
  const isDate = /_at$|^at$/.test(name);
  const children = Array.isArray(value) ? value.flatMap((each) => [each, " "]) : isDate ? [day(value ?? null)] : prose(String(value ?? ""));
  const isWords = ["message", "detail", "reason", "links"].includes(name);
  const attributes = { class: [isWords ? "" : "keep", COLOURS[value]].filter(Boolean).join(" ") || null };
  return title ? make("td", { ...attributes, "data-label": isWords || name === "result" ? null : title }, ...children)
    : make("th", { ...attributes, scope: "row" }, ...children);
}

function errorChart() {
  if (!runs.length) return [make("p", { class: "hint" }, "No model has been measured yet.")];
  const width = Math.max(byId("errors").clientWidth, 240);
  const [height, left, bottom, top] = [240, 64, 44, 12];
  const marks = ticks(Math.min(...runs.map((n) => n.lower)), Math.max(...runs.map((n) => n.upper)), 4);
  const [low, high] = [marks[0], marks.at(-1)];
  const y = (value) => top + (height - bottom - top) * (high - value) / (high - low || 1);
  const x = (i) => left + 16 + (width - left - 32) * (runs.length > 1 ? i / (runs.length - 1) : 0.5);
  const label = runs.map((n) => `${day(n.at)} ${n.model} ${error(n.value)}`).join("; ");
  const chart = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Test error by run: ${label}` });
  for (const value of marks) {
    chart.append(draw("line", { class: "grid", x1: left, x2: width, y1: y(value), y2: y(value) }));
    chart.append(draw("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, error(value)));
  }
  chart.append(draw("polyline", { class: "line", points: runs.map((n, i) => `${x(i)},${y(n.value)}`).join(" ") }));
  let free = 0; // where the next name of a model has room
  runs.forEach((run, i) => {
    chart.append(draw("line", { class: "whisker", x1: x(i), x2: x(i), y1: y(run.lower), y2: y(run.upper) }));
    chart.append(marker(run.outcome === "promote", x(i), y(run.value), `${day(run.at)}: champion ${run.model}, ${error(run.value)}`));
    if (x(i) >= free && run.model !== runs[i - 1]?.model) {
      chart.append(draw("text", { x: x(i), y: height - 26, "text-anchor": "middle" }, run.model));
      free = x(i) + 34;
    }
  });
  const dated = (run, place, anchor) => chart.append(draw("text", { x: place, y: height - 6, "text-anchor": anchor }, day(run.at)));
  if (width > 420 || runs.length === 1) dated(runs[0], left, "start");
  if (runs.length > 1) dated(runs.at(-1), width, "end");
  const key = (shape, text) => {
    const picture = draw("svg", { viewBox: "0 0 18 18", "aria-hidden": "true" });
    picture.append(shape);
    return make("span", {}, picture, text);
  };
  return [chart, make("p", { class: "hint keys" },
    key(marker(true, 9, 9), "a challenger was promoted"), key(marker(false, 9, 9), "the champion stayed"),
    key(draw("line", { class: "whisker", x1: 9, x2: 9, y1: 1, y2: 17 }), "95 % interval"),
    make("span", {}, "m1, m2, ...: the champion, named where it changes"))];
}

function marker(promoted, cx, cy, title) {
  const dot = draw("circle", { class: promoted ? "dot" : "dot kept", cx, cy, r: 5 });
  if (title) dot.append(draw("title", {}, title));
  return dot;
}

function drift(found) {
  if (!found) return [make("p", { class: "hint" }, "The monitor has not run yet; this runs it: ", make("code", {}, "housing monitor"))];
  const columns = { name: "", state: "State", effect: "Effect", q_value: "q-value", message: "Message" };
  const states = Object.entries(found.states).flatMap(([name, text]) => [make("strong", {}, name), `: ${text}. `]);
  return [make("p", {}, found.message), table(found.rows, columns, "Every signal is calm."), make("p", { class: "hint" }, ...states)];
}

window.addEventListener("resize", () => { if (runs.length) byId("errors").replaceChildren(...errorChart()); });
refresh();
