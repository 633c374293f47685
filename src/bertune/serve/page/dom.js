// Builds elements. Data only ever becomes text or attributes, never markup.

/** An element with properties, attributes (those with a dash, `role`, `for` and `list`) and children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") made.className = value;
    else if (name === "style") Object.assign(made.style, value);
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name.includes("-") || ["role", "for", "lang", "dir"].includes(name)) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** The element with an ID. */
export const byId = (id) => document.getElementById(id);

/** Replace the children of an element. */
export const fill = (parent, ...children) => parent.replaceChildren(...children.flat().filter((c) => c !== null));

/** Show a message in an element with role="alert", or hide it if there is none. */
export function showProblem(place, ...content) {
  fill(place, ...content);
  place.hidden = !content.length;
}

/**
 * The part of a text between two offsets that count code points, as in Python. JavaScript counts UTF-16 units, which
 * differ after an emoji.
 */
export const slice = (points, start, end) => points.slice(start, end).join("");

/** The code points of a text, for `slice`. */
export const codePoints = (text) => Array.from(text);
