// The page of `housing export --to web`: the form, and the model in onnxruntime-web.

import { amounts, byId, fieldId, fillField, formField, make, plain, showFault } from "./common.js";

const { words, fields, target, output, ...model } = globalThis.MODEL;
const written = amounts(words, model.error);
const input = (each) => byId(fieldId(each.name));
let ort;
let session;

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function begin() {
  const { code, wasm } = globalThis.RUNTIME;
  const script = new Blob([await unpacked(code)], { type: "text/javascript" });
  ort = await import(URL.createObjectURL(script));
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await unpacked(wasm);
  session = await ort.InferenceSession.create(await unpacked(model.graph), { executionProviders: ["wasm"] });
  byId("who").textContent = `Predicted by model ${model.model} in this browser; nothing is sent.`;
  byId("form").querySelector("[type=submit]").disabled = false;
}

function fill() {
  byId("answer").hidden = true;
  byId("problem").hidden = true;
  for (const each of fields) {
    fillField(each, each.default);
    showFault(each, "");
  }
}

// Why what is typed is not valid; "" if it is.
function wrong(each, text) {
  const { minimum, maximum } = each;
  if (text === "") return each.optional ? "" : "A value is needed.";
  if (each.categories) return "";
  const value = Number(text);
  if (!Number.isFinite(value)) return "This is not a number.";
  if (minimum !== null && value < minimum) return `The least is ${plain(minimum)}.`;
  if (maximum !== null && value > maximum) return `The most is ${plain(maximum)}.`;
  return "";
}

function extrapolates(each, text) {
  const { trained_minimum: low, trained_maximum: high } = each;
  if (text === "" || each.categories || low === null || (Number(text) >= low && Number(text) <= high)) return "";
  return `Caution: ${each.label} ${text} is outside what the model was trained on, ${plain(low)} to ${plain(high)}.`;
}

function tensor(each, text) {
  if (each.categories) return new ort.Tensor("string", [text], [1, 1]);
  return new ort.Tensor("float64", [text === "" ? Number.NaN : Number(text)], [1, 1]);
}

async function predict() {
  const given = fields.map((each) => [each, input(each).value.trim()]);
  for (const [each, text] of given) showFault(each, wrong(each, text));
  const faults = given.filter(([each, text]) => wrong(each, text));
  byId("problem").hidden = !faults.length;
  byId("answer").hidden = true;
  if (faults.length) {
    byId("problem").textContent = "Please correct the marked field.";
    input(faults[0][0]).focus();
    return;
  }
  const used = given.filter(([each]) => session.inputNames.includes(each.name));
  const found = await session.run(Object.fromEntries(used.map(([each, text]) => [each.name, tensor(each, text)])));
  const value = Math.min(Math.max(found[output].data[0], target.minimum ?? -Infinity), target.maximum ?? Infinity);
  byId("answer").hidden = false;
  byId("predicted").textContent = written.amount(value);
  byId("predicted").dataset.value = value;
  byId("about-error").textContent = `A typical error of the model is ${written.amount(model.error)}.`;
  const cautions = given.map(([each, text]) => extrapolates(each, text)).filter(Boolean);
  byId("warnings").replaceChildren(...cautions.map((text) => make("li", {}, text)));
  byId("answer").scrollIntoView({ block: "nearest" });
}

function failed(error) {
  byId("problem").hidden = false;
  byId("problem").textContent = `The model cannot be used in this browser: ${error.message}`;
}

for (const element of document.querySelectorAll("[data-word]")) element.textContent = words[element.dataset.word];
document.title = words.title;
byId("notice").textContent = model.notice;
byId("simulated").hidden = !model.simulated;
byId("simulated").textContent = model.simulated;
byId("fields").replaceChildren(...fields.map((each) => formField(each, `${each.description}.`)));
fill();
byId("form").addEventListener("submit", (event) => { event.preventDefault(); predict().catch(failed); });
byId("form").addEventListener("reset", (event) => { event.preventDefault(); fill(); });
begin().catch(failed);
