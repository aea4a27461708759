// The API for people: /openapi.json as a page, without a library and without other hosts.

import { byId, fetchJson, loadWords, make, prose } from "./common.js";

const MOST_LINES = 30; // of an example

let description;

const resolve = (part) => part?.$ref ? part.$ref.slice(2).split("/").reduce((at, name) => at[name], description) : part ?? {};

async function begin() {
  await loadWords();
  description = await fetchJson("/openapi.json");
  byId("about").textContent = `${description.info.summary}.${description.security ? " Send Authorization: Bearer TOKEN with each request." : ""}`;
  const endpoints = Object.entries(description.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, each]) => ({ path, method, ...each })));
  byId("endpoints").replaceChildren(...endpoints.map(endpoint));
}

function endpoint({ path, method, description: text, requestBody, responses }) {
  const title = `${method.toUpperCase()} ${path}`;
  const parts = [make("h2", {}, make("code", {}, title)), make("p", {}, ...prose(text))];
  const bodies = Object.entries(requestBody?.content ?? {});
  if (bodies.length) parts.push(make("h3", {}, `Request: ${bodies.map(([type]) => type).join(", ")}`));
  for (const [, { schema, examples }] of bodies) {
    parts.push(table(fields(schema)));
    for (const example of Object.values(examples ?? {})) parts.push(...call(path, resolve(example)));
  }
  for (const [status, { description: meaning, content }] of Object.entries(responses)) {
    const [type, { schema }] = Object.entries(content ?? {})[0] ?? ["", {}];
    const label = prose([status, type, meaning].filter(Boolean).join(" \u00b7 "));
    const found = fields(schema);
    parts.push(found.length ? make("details", {}, make("summary", {}, ...label), table(found)) : make("p", {}, ...label));
  }
  return make("section", { "aria-label": title }, ...parts);
}

function call(path, { summary, value }) {
  const body = JSON.stringify(value, null, 2);
  const header = "-H 'Content-Type: application/json'" + (description.security ? " -H 'Authorization: Bearer TOKEN'" : "");
  const lines = `curl ${location.origin}${path} ${header} -d '${body}'`.split("\n");
  const shown = lines.length > MOST_LINES ? [...lines.slice(0, MOST_LINES), "..."] : lines;
  return [make("details", {}, make("summary", {}, `Example: ${summary}`), make("pre", { tabindex: "0" }, make("code", {}, shown.join("\n"))))];
}

// A schema as rows: field, type, meaning; fields of objects and of lists follow with their path.
function fields(schema, path = "", seen = []) {
  if (!schema || seen.includes(schema.$ref)) return [];
  const found = resolve(schema);
  const inner = schema.$ref ? [...seen, schema.$ref] : seen;
  if (found.anyOf) return fields(choice(found), path, inner); // others are the same by another name
  if (found.type === "array") return fields(found.items, `${path}[]`, inner);
  const known = new Set(); // of two names for the same, one shows what is inside
  return Object.entries(found.properties ?? {}).flatMap(([name, each]) => {
    const full = [path, name].filter(Boolean).join(".");
    const content = JSON.stringify({ ...each, title: "" });
    const children = known.has(content) ? [] : fields(each, full, inner);
    known.add(content);
    return [{ name: full, type: kind(each, found.required?.includes(name)), text: meaning(each) }, ...children];
  });
}

const choice = (schema) => schema.anyOf?.find((each) => each.type !== "null") ?? schema;

function kind(schema, required) {
  const found = resolve(schema);
  const types = found.anyOf?.map((each) => resolve(each).type ?? "object") ?? [found.type ?? "object"];
  return [...new Set(types)].join(" or ") + (required === false ? ", optional" : "");
}

function meaning(schema) {
  const found = { ...resolve(choice(resolve(schema))), ...resolve(schema), ...schema };
  const limit = (value) => value.toLocaleString("en-US").replace("-", "\u2212");
  const range = found.minimum === undefined || found.maximum === undefined ? "" : `${limit(found.minimum)} to ${limit(found.maximum)}`;
  return [found.description, range, found.enum?.join(", ")].filter(Boolean).join("; ");
}

function table(rows) {
  if (!rows.length) return null;
  const head = make("tr", {}, ...["Field", "Type", "Meaning"].map((text) => make("th", { scope: "col" }, text)));
  const body = rows.map(({ name, type, text }) => make("tr", {}, make("th", { scope: "row" }, make("code", {}, name)), make("td", { class: "keep" }, type), make("td", {}, ...prose(text))));
  return make("table", { class: "stack" }, make("thead", {}, head), make("tbody", {}, ...body));
}

begin().catch((error) => { byId("about").textContent = error.message; });
