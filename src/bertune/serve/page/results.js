// Shows predictions. What is shown depends on the fields of a prediction, not on the task, so that tasks of users
// that predict the same fields are shown too. Each function returns the summary (read aloud) and the nodes.
import { bars, scale } from "./bars.js";
import { codePoints, element, slice } from "./dom.js";
import { marked, taggedWords } from "./marked.js";
import { count, percent, readable, texts } from "./texts.js";

const MOST_NAMED = 5; // labels to review that are named

/** The summary and nodes for the predictions of a request; `asked` is what `readFields` returned. */
export function shownPredictions(predictions, asked, model) {
  const shown = shownPrediction(predictions, asked, model);
  const { decision, review_labels: labels } = predictions[0];
  if (!decision) return shown;
  const text = decision === "review" ? texts().review(labels || [], MOST_NAMED) : texts().decided;
  const [first, ...rest] = shown.nodes;
  return { summary: `${shown.summary}. ${text}`, nodes: [first, element("p", { class: `decision ${decision}` }, text), ...rest] };
}

function shownPrediction(predictions, asked, model) {
  const first = predictions[0];
  const has = (...names) => names.every((name) => name in first);
  if (has("similarities", "vector")) return ofVectors(predictions, asked);
  if (model.form.fields.some((field) => field.kind === "rows") && has("score")) return ofRanking(predictions, asked);
  if (has("choice", "probabilities")) return ofChoices(first, asked);
  if (has("label", "probabilities")) return ofLabel(first);
  if (has("labels", "probabilities")) return ofLabels(first, model);
  if (has("spans", "words", "tags")) return ofSpans(first, asked, model);
  if (has("answer", "n_best")) return ofAnswer(first, asked);
  if (has("masks")) return ofMasks(first, asked, model);
  if (has("value") && typeof first.value === "number") return ofNumber(first, model);
  return ofAnything(predictions);
}

const headline = (text, note = "") =>
  element("p", { class: "headline", dir: "auto" }, text, note ? element("span", { class: "note" }, note) : null);

function ofLabel({ label, probabilities }) {
  const items = Object.entries(probabilities).map(([name, p]) => ({
    label: name, value: percent(p), share: p, isChosen: name === label,
  }));
  return { summary: `${label}, ${percent(probabilities[label])}`, nodes: [headline(label), bars(items)] };
}

function ofLabels({ labels, probabilities, review_labels: reviewed }, model) {
  const threshold = model.form.threshold;
  const items = Object.entries(probabilities).map(([name, p]) => ({
    label: reviewed?.includes(name) ? element("span", {}, name, reviewTag()) : name,
    value: percent(p), share: p, isChosen: labels.includes(name),
  }));
  const text = labels.length ? labels.join(", ") : texts().noLabels;
  const nodes = [headline(text), bars(items, { mark: threshold })];
  if (threshold !== null) nodes.push(element("p", { class: "hint" }, texts().threshold(percent(threshold))));
  return { summary: text, nodes };
}

/** The choices of a question: the values of the last field, or of the last fields with one choice each. */
export const choicesOf = (asked, number) => asked.texts.flat().slice(-number);

function ofChoices({ choice, index, probabilities }, asked) {
  const choices = choicesOf(asked, probabilities.length);
  const items = probabilities.map((p, at) => ({
    label: choices[at], value: percent(p), share: p, isChosen: at === index,
  }));
  return { summary: `${choice}, ${percent(probabilities[index])}`, nodes: [headline(choice), bars(items)] };
}

function ofNumber({ value }, model) {
  const { low, high } = model.form;
  const nodes = [headline(readable(value))];
  if (low !== null && high !== null) {
    const ends = element("div", { class: "ends", "aria-hidden": "true" }, element("span", {}, readable(low)), element("span", {}, readable(high)));
    nodes.push(scale(value, low, high), ends, element("p", { class: "hint" }, texts().range));
  }
  return { summary: readable(value), nodes };
}

function ofSpans({ spans, words, tags }, asked, model) {
  const text = spans.length ? texts().entities(count(spans.length)) : texts().noEntities;
  const kinds = labelKinds(model.labels, spans);
  const shown = asked.isSplit ? taggedWords(words, tags, kinds) : marked(asked.texts[0][0], spans, kinds);
  const nodes = [headline(text), shown];
  if (spans.length) nodes.push(legend(spans, kinds), spanTable(spans, kinds));
  const said = spans.map((span) => `${span.text} (${span.label})`).join(", ");
  return { summary: said ? `${text}: ${said}` : text, nodes };
}

/** The number of each entity label, which determines its colour. */
function labelKinds(labels, spans) {
  const names = labels.filter((name) => name !== "O").map((name) => name.replace(/^[BI]-/, ""));
  return new Map([...new Set([...names, ...spans.map((span) => span.label)])].map((name, at) => [name, at % 8]));
}

function legend(spans, kinds) {
  const counts = new Map();
  for (const { label } of spans) counts.set(label, (counts.get(label) || 0) + 1);
  const items = [...counts].map(([label, n]) =>
    element("li", { class: `entity hue-${kinds.get(label)}` }, label, element("span", { class: "note" }, count(n))),
  );
  return element("ul", { class: "legend", "aria-hidden": "true" }, items);
}

/** A mark beside what a person should review. */
const reviewTag = () => element("span", { class: "review-tag" }, texts().toReview);

function spanTable(spans, kinds) {
  const head = [texts().entity, texts().label, texts().score].map((name) => element("th", { scope: "col" }, name));
  const rows = spans.map((span) =>
    element(
      "tr",
      {},
      element("td", { dir: "auto" }, span.text, span.decision === "review" ? reviewTag() : null),
      element("td", {}, element("span", { class: `entity hue-${kinds.get(span.label)}` }, span.label)),
      element("td", { class: "number" }, percent(span.score)),
    ),
  );
  return element("table", {}, element("thead", {}, element("tr", {}, head)), element("tbody", {}, rows));
}

function ofAnswer({ answer, start, end, score, n_best: candidates }, asked) {
  const context = codePoints(asked.texts.at(-1)[0]);
  const text = answer ?? texts().noAnswer;
  const passage = element("p", { class: "passage", dir: "auto" });
  if (start === null) passage.append(context.join(""));
  else {
    const found = element("mark", { class: "answer" }, slice(context, start, end));
    passage.append(slice(context, 0, start), found, slice(context, end));
  }
  const items = candidates.map((one) => ({
    label: one.answer ?? texts().noAnswer, value: percent(one.score), share: one.score, isChosen: one.answer === answer,
  }));
  const nodes = [headline(text, percent(score)), passage, element("h3", {}, texts().otherAnswers), bars(items, { top: 5 })];
  return { summary: `${text}, ${percent(score)}`, nodes };
}

function ofRanking(predictions, asked) {
  const documents = asked.texts.at(-1);
  const items = predictions.map((prediction, at) => ({
    label: documents[at], value: percent(prediction.score), share: prediction.score, isChosen: false,
  }));
  const best = items.reduce((a, b) => (b.share > a.share ? b : a));
  best.isChosen = true;
  return {
    summary: texts().best(best.label),
    nodes: [element("p", { class: "hint" }, texts().ranking), bars(items)],
  };
}

function ofVectors(predictions, asked) {
  const vectors = predictions.map((prediction) => prediction.vector);
  const given = asked.texts[0];
  if (vectors.length === 1) {
    const text = texts().vector(count(vectors[0].length));
    return { summary: text, nodes: [element("p", { class: "hint" }, text)] };
  }
  const pairs = [];
  for (let a = 0; a < vectors.length; a += 1)
    for (let b = a + 1; b < vectors.length; b += 1) {
      const cosine = vectors[a].reduce((sum, x, at) => sum + x * vectors[b][at], 0);
      const label = element("span", { class: "pair" }, element("span", {}, given[a]), element("span", {}, given[b]));
      pairs.push({ label, value: readable(cosine), share: cosine, isChosen: false, named: texts().pair(a + 1, b + 1) });
    }
  const hint = element("p", { class: "hint" }, texts().similarityHint);
  if (pairs.length === 1) {
    const { share } = pairs[0];
    return { summary: `${texts().similarity} ${readable(share)}`, nodes: [headline(readable(share)), scale(share, 0, 1), hint] };
  }
  const best = pairs.reduce((a, b) => (b.share > a.share ? b : a));
  best.isChosen = true;
  return { summary: `${best.named}: ${best.value}`, nodes: [bars(pairs), hint] };
}

function ofMasks({ masks }, asked, model) {
  const parts = asked.texts[0][0].split(model.form.mask);
  // Sorted here, because JavaScript moves keys that are whole numbers, such as years, to the front of an object.
  const ranked = masks.map((mask) => Object.entries(mask.best).sort((a, b) => b[1] - a[1]));
  const best = ranked.map((words) => words[0][0]);
  const filled = element("p", { class: "passage", dir: "auto" });
  parts.forEach((part, at) => {
    filled.append(part);
    if (at < parts.length - 1) filled.append(element("mark", { class: "answer" }, best[at] ?? model.form.mask));
  });
  const lists = ranked.flatMap((words, at) => {
    const items = words.map(([word, p], rank) => ({
      label: word, value: percent(p), share: p, isChosen: rank === 0,
    }));
    return [ranked.length > 1 ? element("h3", {}, texts().mask(at + 1)) : null, bars(items, { top: 5 })];
  });
  return { summary: best.join(", "), nodes: [filled, ...lists] };
}

/** Predictions of an unknown kind: the fields with their values. */
function ofAnything(predictions) {
  const nodes = predictions.map((prediction) =>
    element(
      "dl",
      { class: "values" },
      Object.entries(prediction).flatMap(([name, value]) => [
        element("dt", {}, name),
        element("dd", {}, typeof value === "string" ? value : JSON.stringify(value)),
      ]),
    ),
  );
  return { summary: texts().prediction, nodes };
}
