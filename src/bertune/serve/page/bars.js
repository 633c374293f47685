// Lists of labelled bars: the longest first, ten of them at first.
import { element, fill } from "./dom.js";
import { count, texts } from "./texts.js";

const TOP = 10;

/**
 * A sorted list of bars, with the `top` ones shown at first. Each item has a `label` (text or node), a `value` as written, and a `share` from 0 to 1;
 * `isChosen` emphasizes it. `mark` is a share at which all bars have a line.
 */
export function bars(items, { mark = null, top = TOP } = {}) {
  const sorted = [...items].sort((a, b) => b.share - a.share);
  const list = element("ol", { class: "bars" });
  const show = (all) => fill(list, sorted.slice(0, all ? undefined : top).map((item) => bar(item, mark)));
  show(false);
  if (sorted.length <= top) return list;
  const more = element("button", { type: "button", class: "small", "aria-expanded": "false" });
  const label = () => {
    const isOpen = more.getAttribute("aria-expanded") === "true";
    more.textContent = isOpen ? texts().showTop(count(top)) : texts().showAll(count(sorted.length));
  };
  more.addEventListener("click", () => {
    const open = more.getAttribute("aria-expanded") !== "true";
    more.setAttribute("aria-expanded", String(open));
    show(open);
    label();
  });
  label();
  return element("div", {}, list, more);
}

function bar({ label, value, share, isChosen }, mark) {
  const width = `${100 * Math.min(1, Math.max(0, share))}%`;
  const track = element("span", { class: "track", "aria-hidden": "true" });
  track.append(element("span", { class: "fill", style: { width } }));
  if (mark !== null) track.append(element("span", { class: "mark", style: { left: `${100 * mark}%` } }));
  return element(
    "li",
    { class: isChosen ? "bar chosen" : "bar" },
    element("span", { class: "bar-label", dir: "auto" }, label),
    element("span", { class: "bar-value" }, value),
    track,
  );
}

/** A number on a scale between two others. */
export function scale(value, low, high) {
  const share = high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0;
  return element(
    "div",
    { class: "scale", "aria-hidden": "true" },
    element("span", { class: "fill", style: { width: `${100 * share}%` } }),
    element("span", { class: "pointer", style: { left: `${100 * share}%` } }),
  );
}
