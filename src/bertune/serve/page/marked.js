// Texts with marked parts: entities, and words by their contribution to a prediction.
import { codePoints, element, slice } from "./dom.js";
import { readable, texts } from "./texts.js";

/** A text with its spans marked; offsets count code points. */
export function marked(text, spans, kinds) {
  const points = codePoints(text);
  const place = element("p", { class: "passage", dir: "auto" });
  let at = 0;
  for (const { start, end, label } of [...spans].sort((a, b) => a.start - b.start)) {
    place.append(slice(points, at, start), entity(slice(points, start, end), label, kinds));
    at = end;
  }
  place.append(slice(points, at));
  return place;
}

function entity(text, label, kinds) {
  return element(
    "mark",
    { class: `entity hue-${kinds.get(label)}` },
    text,
    element("span", { class: "tag" }, label),
  );
}

/** Words with their tags below them, for texts that were given as words. */
export function taggedWords(words, tags, kinds) {
  const items = words.map((word, at) => {
    const kind = kinds.get(tags[at].replace(/^[A-Z]-/, ""));
    const isOutside = tags[at] === "O" || kind === undefined;
    return element(
      "span",
      { class: isOutside ? "word" : `word entity hue-${kind}` },
      word,
      isOutside ? null : element("span", { class: "tag" }, tags[at]),
    );
  });
  return element("p", { class: "passage words", dir: "auto" }, items);
}

/** The texts of an explanation; the colour of a word shows its contribution relative to the largest one. */
export function weighted(explanation) {
  const most = Math.max(...explanation.words.map((word) => Math.abs(word.contribution)), 0.005);
  return explanation.texts.map((text, number) => {
    const points = codePoints(text);
    const place = element("p", { class: "passage", dir: "auto" });
    let at = 0;
    for (const { start, end, contribution } of explanation.words.filter((word) => word.text === number)) {
      const word = slice(points, start, end);
      const strength = Math.round((10 * Math.abs(contribution)) / most);
      const kind = contribution >= 0 ? "for" : "against";
      const title = texts().contribution(word, readable(contribution));
      place.append(slice(points, at, start));
      place.append(strength ? element("span", { class: `weight ${kind} strength-${strength}`, title }, word) : word);
      at = end;
    }
    place.append(slice(points, at));
    return place;
  });
}

/** The words with the largest contributions, as a list that also says whether they support the prediction. */
export function strongest(explanation, most = 6) {
  const points = explanation.texts.map(codePoints);
  const words = [...explanation.words].sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution));
  const largest = Math.abs(words[0]?.contribution ?? 0);
  const items = words
    .filter((word) => Math.abs(word.contribution) > 0.05 * largest)
    .slice(0, most)
    .map(({ text, start, end, contribution }) => {
      const isFor = contribution >= 0;
      return element(
        "li",
        {},
        element("bdi", { class: `weight ${isFor ? "for" : "against"} strength-5` }, slice(points[text], start, end)),
        element("span", { class: "note" }, `${isFor ? texts().supports : texts().opposes} ${readable(Math.abs(contribution))}`),
      );
    });
  return element("ol", { class: "strongest" }, items);
}
