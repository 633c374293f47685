// Labels whole files: upload, progress, download.
import { byId, element, fill, showProblem } from "./dom.js";
import { hasToken, request, respond, ServiceError, upload } from "./service.js";
import { count, percent, texts } from "./texts.js";

const STORED = "bertune-jobs";
const USUAL = [".csv", ".tsv", ".jsonl", ".json", ".xlsx", ".parquet", ".txt"]; // formats that the form names
const POLL = [300, 600, 1000, 2000]; // milliseconds between questions about a job

let limits = null; // `files` of GET /models
let currentModel = null;
const shown = new Map(); // job ID -> its last known state

/** Prepare the form for a service; `files` is that of GET /models. */
export function startFiles(files, model) {
  limits = files;
  currentModel = model;
  byId("files").hidden = false;
  const file = byId("file");
  file.addEventListener("change", showChosen);
  const drop = byId("drop");
  for (const name of ["dragover", "dragleave", "drop"])
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragover");
      if (name === "drop" && event.dataTransfer.files.length) {
        file.files = event.dataTransfer.files;
        showChosen();
      }
    });
  byId("upload").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  for (const id of remembered()) follow(id);
  showFiles(model);
}

/** Show the form for a model, in the current language. */
export function showFiles(model) {
  currentModel = model;
  byId("file").accept = limits.read.join(",");
  const usual = USUAL.filter((suffix) => limits.read.includes(suffix)).join(" ");
  fill(byId("accepted"), texts().accepted(usual, count(limits.max_mb)));
  const format = byId("format");
  const before = format.value;
  fill(format, model.writes.map((suffix) => element("option", { value: suffix, selected: suffix === before }, suffix)));
  byId("columns").placeholder = model.text_columns.join(", ");
  showChosen();
  for (const state of shown.values()) show(state);
}

function showChosen() {
  const [file] = byId("file").files;
  fill(byId("chosen"), file ? `${file.name} (${size(file.size)})` : texts().choose);
  byId("drop").classList.toggle("filled", Boolean(file));
}

function size(bytes) {
  const mb = bytes / 1e6;
  return mb < 0.1 ? `${count(Math.ceil(bytes / 1000))} kB` : `${count(Math.round(10 * mb) / 10)} MB`;
}

async function send() {
  const problem = byId("upload-problem");
  const [file] = byId("file").files;
  showProblem(problem);
  if (!file) {
    showProblem(problem, texts().noFile);
    byId("file").focus();
    return;
  }
  const button = byId("label-file");
  const form = new FormData();
  form.append("format", byId("format").value);
  const columns = byId("columns").value.trim();
  if (columns) form.append("text", columns);
  form.append("file", file, file.name); // last, so that the service knows the settings before the file arrives
  button.disabled = true;
  try {
    const path = `models/${encodeURIComponent(currentModel.name)}/files`;
    const { job } = await upload(path, form, (share) => {
      button.textContent = texts().uploading(percent(share));
    });
    remember([job, ...remembered()]);
    follow(job);
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    showProblem(problem, element("p", {}, error.shown), error.details ? element("p", {}, error.details) : "");
  } finally {
    button.disabled = false;
    button.textContent = texts().labelFile;
  }
}

const isOver = (state) => ["done", "failed", "cancelled", "forgotten"].includes(state.state);

async function follow(id) {
  for (let polls = 0; ; polls += 1) {
    let state;
    try {
      state = await request(`jobs/${id}`);
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      if (error.kind !== "not_found") {
        // The connection may come back; the job goes on without it.
        await pause(POLL.at(-1));
        continue;
      }
      state = { ...(shown.get(id) || { file: "", model: "" }), id, state: "forgotten" };
    }
    const before = shown.get(id);
    if (polls > 0 && (!before || isOver(before))) return; // dismissed or cancelled meanwhile
    shown.set(id, state);
    show(state);
    if (isOver(state)) return;
    await pause(POLL[Math.min(polls, POLL.length - 1)]);
  }
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function show(state) {
  const id = `job-${state.id}`;
  const made = element("li", { class: `job ${state.state}`, id }, content(state));
  const before = byId(id);
  if (before && before.contains(document.activeElement)) {
    const focused = [...before.querySelectorAll("button")].indexOf(document.activeElement);
    before.replaceWith(made);
    made.querySelectorAll("button")[focused]?.focus();
  } else if (before) before.replaceWith(made);
  else byId("jobs").prepend(made);
}

function content(state) {
  const head = element(
    "div",
    { class: "job-head" },
    element("bdi", { class: "job-name" }, state.file),
    element("span", { class: "note" }, state.model),
  );
  if (state.state === "forgotten") return [head, element("p", {}, texts().forgotten), actions(state)];
  const running = !isOver(state);
  const progress = element("progress", { max: 1, "aria-label": state.file });
  if (state.state === "done") progress.value = 1;
  else if (state.total) progress.value = state.rows / state.total;
  else if (state.state !== "running" && !running) progress.value = 0;
  const rows = state.rows ? texts().rows(count(state.rows), state.total === null ? null : count(state.total)) : "";
  const status = [texts().state[state.state], state.state === "done" ? summary(state) : rows].filter(Boolean).join(" · ");
  return [
    head,
    running || state.state === "done" ? progress : null,
    element("p", { class: "job-status", role: "status" }, status),
    state.error ? element("p", { class: "problem", role: "alert" }, state.error) : null,
    state.notes.length || state.failures.length
      ? element("ul", { class: "notes" }, [...state.notes, ...state.failures].map((note) => element("li", {}, note)))
      : null,
    actions(state),
  ].filter(Boolean);
}

function summary({ rows, blank, failed, truncated }) {
  const parts = [texts().summary(count(rows))];
  if (blank) parts.push(texts().blankRows(count(blank)));
  if (failed) parts.push(texts().failedRows(count(failed)));
  if (truncated) parts.push(texts().truncatedRows(count(truncated)));
  return parts.join(" · ");
}

function actions(state) {
  const buttons = [];
  if (state.state === "done") {
    const result = `jobs/${state.id}/result`;
    // A link streams to disk, but cannot carry a token.
    if (hasToken())
      buttons.push(element("button", { type: "button", class: "primary", onclick: () => saved(result, state.result) }, texts().download));
    else buttons.push(element("a", { class: "button primary", href: result, download: state.result }, texts().download));
  }
  const name = isOver(state) ? texts().remove : texts().cancel;
  buttons.push(element("button", { type: "button", onclick: () => (isOver(state) ? dismiss(state) : cancel(state)) }, name));
  return element("div", { class: "actions" }, buttons);
}

async function saved(path, name) {
  const response = await respond(path);
  const url = URL.createObjectURL(await response.blob());
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

async function cancel(state) {
  const cancelled = { ...state, state: "cancelled" };
  shown.set(state.id, cancelled);
  show(cancelled);
  await ignoringGone(respond(`jobs/${state.id}`, { method: "DELETE" }));
}

async function dismiss(state) {
  shown.delete(state.id);
  remember(remembered().filter((id) => id !== state.id));
  byId(`job-${state.id}`).remove();
  if (state.state !== "forgotten") await ignoringGone(respond(`jobs/${state.id}`, { method: "DELETE" }));
}

async function ignoringGone(response) {
  try {
    await response;
  } catch (error) {
    if (!(error instanceof ServiceError) || error.kind !== "not_found") throw error;
  }
}

const remembered = () => JSON.parse(sessionStorage.getItem(STORED) || "[]");
const remember = (ids) => sessionStorage.setItem(STORED, JSON.stringify(ids));
