// The input fields of a model: what a row needs, as described by `form` in GET /models.
import { byId, element, fill } from "./dom.js";
import { texts } from "./texts.js";

const LEAST = { list: 2, rows: 1 };
const ENOUGH = { list: 3, rows: 2 }; // fields shown at first

let shown = null; // the fields of the current model

/** A column name as the user reads it. */
export const fieldName = (name) => texts().fields[name] || name;

/** Build the fields of a model. What was typed is kept where the fields are the same. */
export function buildFields(model) {
  const before = shown ? shown.parts.map((part) => part.values()) : [];
  const isSame = shown && JSON.stringify(shown.form) === JSON.stringify(model.form);
  const parts = model.form.fields.map((field, number) =>
    field.kind === "list" || field.kind === "rows"
      ? severalTexts(field, number)
      : singleText(field, number, model.form.mask),
  );
  fill(byId("fields"), ...parts.map((part) => part.place));
  shown = { form: model.form, parts };
  if (isSame) parts.forEach((part, number) => part.restore(before[number]));
}

/** Empty all fields. */
export function clearFields() {
  for (const part of shown.parts) part.restore([""]);
}

/** Whether there is something in any field. */
export const isFilled = () => shown.parts.some((part) => part.values().some((value) => value.trim()));

/**
 * The rows of a request, and what they were made of: `texts` has the values of each field. Throws FieldError if
 * something is missing.
 */
export function readFields() {
  const { form, parts } = shown;
  const values = parts.map((part) => part.values());
  parts.forEach((part, number) => refuseBlank(form, part, values[number]));
  const filled = values.map((list, number) =>
    isSeveral(form.fields[number]) ? list.filter((value) => value.trim()) : list,
  );
  if (form.fields.length === 1 && form.fields[0].kind === "words" && parts[0].isSplit())
    return { rows: [words(filled[0][0])], texts: filled, isSplit: true };
  const rowsAt = form.fields.findIndex((field) => field.kind === "rows");
  const repeated = rowsAt < 0 ? [null] : filled[rowsAt];
  const rows = repeated.map((item) => row(form, filled, rowsAt, item));
  return { rows, texts: filled, isSplit: false };
}

/** Something that the user has to change in a field. */
export class FieldError extends Error {
  constructor(message, place) {
    super(message);
    this.place = place;
  }
}

const isSeveral = (field) => field.kind === "list" || field.kind === "rows";
const words = (text) => text.split(/\s+/u).filter(Boolean);

function row(form, filled, rowsAt, item) {
  const cells = form.fields.map((field, number) => {
    if (number === rowsAt) return item;
    return field.kind === "list" ? filled[number] : filled[number][0];
  });
  if (cells.length === 1) return cells[0];
  // Files without a header have numbers as column names, which are not the names of anything.
  if (form.fields.some((field) => /^\d+$/.test(field.name))) return cells;
  return Object.fromEntries(form.fields.map((field, number) => [field.name, cells[number]]));
}

function refuseBlank(form, part, values) {
  const { field, inputs } = part;
  const given = values.filter((value) => value.trim());
  const least = LEAST[field.kind] ?? 1;
  for (const input of inputs()) input.removeAttribute("aria-invalid");
  if (given.length < least) {
    const empty = inputs()[values.findIndex((value) => !value.trim())];
    empty.setAttribute("aria-invalid", "true");
    const name = fieldName(field.name);
    throw new FieldError(least > 1 ? texts().tooFew(least) : texts().blank(name), empty);
  }
  if (form.mask && !values[0].includes(form.mask)) throw new FieldError(texts().noMask(form.mask), inputs()[0]);
}

function area(id, rows, describedBy = undefined) {
  return element("textarea", {
    id, rows, dir: "auto", spellcheck: false, placeholder: texts().placeholder, "aria-describedby": describedBy,
  });
}

function singleText(field, number, mask) {
  const id = `field-${number}`;
  const isShort = ["question", "query", "问题", "查询"].includes(field.name);
  const input = area(id, isShort ? 2 : 6, mask ? `${id}-hint` : undefined);
  const split = element("input", { type: "checkbox", id: `${id}-split` });
  const extra = [];
  if (mask) {
    extra.push(
      element(
        "div",
        { class: "below" },
        element("button", { type: "button", class: "small", onclick: () => insert(input, mask) }, texts().insertMask(mask)),
        element("p", { class: "hint", id: `${id}-hint` }, texts().maskHint(mask)),
      ),
    );
  }
  if (field.kind === "words")
    extra.push(element("label", { class: "check below", for: split.id }, split, element("span", {}, texts().splitWords)));
  return {
    field,
    place: element("div", { class: "field" }, element("label", { for: id }, fieldName(field.name)), input, ...extra),
    inputs: () => [input],
    values: () => [input.value],
    isSplit: () => split.checked,
    restore: ([value]) => {
      input.value = value;
    },
  };
}

function severalTexts(field, number) {
  const list = element("div", { class: "several" });
  const name = fieldName(field.name);
  const inputs = () => Array.from(list.querySelectorAll("textarea"));
  const relabel = () =>
    Array.from(list.children).forEach((item, at) => {
      const input = item.querySelector("textarea");
      input.id = `field-${number}-${at}`;
      input.setAttribute("aria-label", texts().item(name, at + 1));
      item.querySelector("button").setAttribute("aria-label", texts().removeItem(texts().item(name, at + 1)));
      item.querySelector("button").hidden = list.children.length <= LEAST[field.kind];
      item.querySelector(".number").textContent = String(at + 1);
    });
  const add = (value = "") => {
    const input = area("", field.kind === "list" ? 1 : 2);
    input.value = value;
    const item = element("div", { class: "item" }, element("span", { class: "number", "aria-hidden": "true" }), input);
    const remove = () => {
      item.remove();
      relabel();
      inputs()[0].focus();
    };
    item.append(element("button", { type: "button", class: "remove", onclick: remove }, "×"));
    list.append(item);
    relabel();
    return input;
  };
  const restore = (values) => {
    list.replaceChildren();
    const blanks = Math.max(0, ENOUGH[field.kind] - values.length);
    for (const value of [...values, ...Array(blanks).fill("")]) add(value);
  };
  restore([]);
  const more = element("button", { type: "button", class: "small", onclick: () => add().focus() }, texts().addItem[field.kind]);
  return {
    field,
    place: element("fieldset", { class: "field" }, element("legend", {}, name), list, more),
    inputs,
    values: () => inputs().map((input) => input.value),
    isSplit: () => false,
    restore,
  };
}

function insert(input, text) {
  input.setRangeText(text, input.selectionStart, input.selectionEnd, "end");
  input.focus();
}
