// The page: choose a model, enter a text, see its prediction.
import { copies } from "./copying.js";
import { byId, element, fill, showProblem } from "./dom.js";
import { explanation } from "./explain.js";
import { buildFields, clearFields, FieldError, readFields } from "./fields.js";
import { showFiles, startFiles } from "./files.js";
import { shownPredictions } from "./results.js";
import { request, ServiceError } from "./service.js";
import { count, decimal, setLanguage, texts, translate } from "./texts.js";

let models = [];
let current = null; // the chosen model
let last = null; // the last prediction: what was asked, and the answer
let waiting = null; // the request in progress

start();

async function start() {
  for (const button of document.querySelectorAll("[data-language]"))
    button.addEventListener("click", () => {
      setLanguage(button.dataset.language);
      showAll();
    });
  translate();
  try {
    const answer = await request("models");
    models = answer.models;
    choose(models.find((model) => `#${encodeURIComponent(model.name)}` === location.hash) || models[0]);
    startFiles(answer.files, current);
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    showProblem(byId("broken"), error.shown, " ", error.details);
    return;
  }
  byId("models").hidden = false;
  byId("work").hidden = false;
  byId("model").addEventListener("change", (event) => {
    choose(models[event.target.selectedIndex]);
    history.replaceState(null, "", `#${encodeURIComponent(current.name)}`);
    showFiles(current);
  });
  const form = byId("input");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    predict(false);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      predict(false);
    }
  });
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    clearFields();
    forget();
    byId("fields").querySelector("textarea").focus();
  });
}

/** Write everything again, in the current language. */
function showAll() {
  translate();
  if (!current) return;
  showModel();
  buildFields(current);
  showFiles(current);
  if (last) showLast();
  else forget();
}

function choose(model) {
  current = model;
  buildFields(model);
  showModel();
  forget();
}

function showModel() {
  const select = byId("model");
  fill(select, models.map((model) => element("option", { selected: model === current }, model.name)));
  select.disabled = models.length === 1;
  const known = texts().facts;
  const facts = [
    texts().tasks[current.task] || current.task.replaceAll("_", " "),
    current.labels.length > 1 ? known.labels(count(current.labels.length)) : null,
    known.length(count(current.max_length)),
    `${current.backend}, ${current.precision}`,
  ];
  fill(byId("facts"), facts.filter(Boolean).join(" · "));
  const isMac = /Mac|iPhone|iPad/.test(navigator.platform);
  fill(byId("keys"), texts().keys(isMac ? "⌘" : "Ctrl"));
}

/** Remove the last prediction. */
function forget() {
  waiting?.abort();
  last = null;
  showProblem(byId("problem"));
  fill(byId("summary"));
  fill(byId("result"), element("p", { class: "hint empty" }, texts().empty));
}

async function predict(truncate) {
  waiting?.abort();
  const problem = byId("problem");
  showProblem(problem);
  let asked;
  try {
    asked = readFields();
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    showProblem(problem, error.message);
    error.place.focus();
    return;
  }
  const mine = new AbortController();
  waiting = mine;
  const model = current;
  const path = `models/${encodeURIComponent(model.name)}/predict`;
  const body = truncate ? { rows: asked.rows, truncate } : { rows: asked.rows };
  const start = performance.now();
  isBusy(true);
  try {
    const answer = await request(path, body, { signal: mine.signal });
    last = { model, asked, path, body, answer, truncate, milliseconds: performance.now() - start };
    showLast();
    if (window.matchMedia("(max-width: 54rem)").matches) byId("result-card").scrollIntoView({ block: "nearest" });
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof ServiceError)) throw error;
    showProblem(problem, ...errorNodes(error, truncate));
  } finally {
    if (waiting === mine) {
      waiting = null;
      isBusy(false);
    }
  }
}

function isBusy(busy) {
  const button = byId("predict");
  button.textContent = busy ? texts().predicting : texts().predict;
  byId("result-card").setAttribute("aria-busy", String(busy));
}

function errorNodes(error, truncate) {
  const nodes = [element("p", {}, error.shown)];
  if (error.details) nodes.push(element("p", { class: "hint" }, error.details));
  if (error.kind === "too_long" && !truncate)
    nodes.push(element("button", { type: "button", onclick: () => predict(true) }, texts().truncate));
  if (["unreachable", "overloaded", "unavailable"].includes(error.kind))
    nodes.push(element("button", { type: "button", onclick: () => predict(truncate) }, texts().retry));
  return nodes;
}

function showLast() {
  const { model, asked, path, body, answer, truncate, milliseconds } = last;
  const { summary, nodes } = shownPredictions(answer.predictions, asked, model);
  const time =
    milliseconds < 1000
      ? texts().milliseconds(count(Math.round(milliseconds)))
      : texts().seconds(decimal(milliseconds / 1000, 1));
  fill(byId("summary"), `${texts().prediction}: ${summary}`);
  const rest = [explanation(model, answer.predictions, asked, truncate), element("p", { class: "hint time" }, time)];
  fill(byId("result"), nodes, rest.filter(Boolean), copies(path, body, answer));
}
