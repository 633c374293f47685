// Explains a prediction: which words mattered, for models that torch computes.
import { element, fill, showProblem } from "./dom.js";
import { strongest, weighted } from "./marked.js";
import { choicesOf } from "./results.js";
import { request, ServiceError } from "./service.js";
import { readable, texts } from "./texts.js";

const LEAST = 0.005; // a contribution, usually to a logit, that would be shown as 0.00

/** The button that explains a prediction and what it shows, or null if there is nothing to explain. */
export function explanation(model, predictions, asked, truncate) {
  const row = model.explains ? explainedRow(model, predictions, asked) : null;
  if (row === null) return null;
  const place = element("div", { class: "explanation" });
  const problem = element("div", { class: "problem", role: "alert", hidden: true });
  const button = element("button", { type: "button" }, texts().explain);
  const choices = targets(predictions, asked);
  const show = async (target) => {
    button.disabled = true;
    button.textContent = texts().explaining;
    showProblem(problem);
    try {
      const found = await request(`models/${encodeURIComponent(model.name)}/explain`, { row, target, truncate });
      fill(place, shownExplanation(found, choices, show));
      place.querySelector("h3").focus();
      button.hidden = true;
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      showProblem(problem, element("p", {}, error.shown), error.details ? element("p", {}, error.details) : "");
    } finally {
      button.disabled = false;
      button.textContent = texts().explain;
    }
  };
  button.addEventListener("click", () => show(null));
  return element("div", { class: "explain" }, button, problem, place);
}

/** The row whose prediction is explained: that of the best document or the closest pair if there are several. */
function explainedRow(model, predictions, asked) {
  const { fields } = model.form;
  const [first] = predictions;
  if ((first.spans && !first.spans.length) || (first.masks && !first.masks.length)) return null;
  if (!fields.some((field) => field.kind === "rows")) return asked.rows[0];
  if (fields.length > 1) {
    const scores = predictions.map((prediction) => prediction.score);
    return asked.rows[scores.indexOf(Math.max(...scores))];
  }
  const width = model.text_columns.length;
  if (predictions.length < 2 || width < 2) return null;
  const [a, b] = closest(predictions.map((prediction) => prediction.vector));
  return [asked.rows[a], ...Array(width - 1).fill(asked.rows[b])];
}

function closest(vectors) {
  let best = [-Infinity, 0, 1];
  for (let a = 0; a < vectors.length; a += 1)
    for (let b = a + 1; b < vectors.length; b += 1) {
      const cosine = vectors[a].reduce((sum, x, at) => sum + x * vectors[b][at], 0);
      if (cosine > best[0]) best = [cosine, a, b];
    }
  return best.slice(1);
}

/** What can be explained, as [value, name]: labels, choices, entities or masks. */
function targets([first], asked) {
  if (Array.isArray(first.probabilities)) return [...choicesOf(asked, first.probabilities.length).entries()];
  if (first.probabilities) return Object.keys(first.probabilities).map((label) => [label, label]);
  if (first.spans) return first.spans.map((span, at) => [at, `${span.text} (${span.label})`]);
  if (first.masks) return first.masks.map((_, at) => [at, texts().mask(at + 1)]);
  return [];
}

function shownExplanation(found, choices, show) {
  const title = element("h3", { tabIndex: -1 }, texts().explainTitle);
  const nodes = [title];
  if (choices.length > 1) {
    const select = element(
      "select",
      { id: "target" },
      choices.map(([value, name], at) => element("option", { value: String(at), selected: value === found.target }, name)),
    );
    select.addEventListener("change", () => show(choices[Number(select.value)][0]));
    nodes.push(element("div", { class: "field row" }, element("label", { for: "target" }, texts().explainTarget), select));
  }
  const key = element(
    "p",
    { class: "hint key" },
    element("span", { class: "weight for strength-6" }, texts().supports),
    " ",
    element("span", { class: "weight against strength-6" }, texts().opposes),
  );
  const method = texts().explainHint(readable(found.baseline), readable(found.value));
  const most = Math.max(...found.words.map((word) => Math.abs(word.contribution)));
  const list = most < LEAST ? element("p", {}, texts().nothingMattered) : strongest(found);
  return [...nodes, ...weighted(found), key, list, element("p", { class: "hint" }, method)];
}
