// The result as JSON and as a curl command, to copy.
import { element } from "./dom.js";
import { hasToken } from "./service.js";
import { texts } from "./texts.js";

/** Two folded blocks: the response as JSON, and the request as a command. */
export function copies(path, body, response) {
  return element(
    "div",
    { class: "copies" },
    block(texts().asJson, JSON.stringify(response, null, 2)),
    block(texts().asCurl, command(path, body)),
  );
}

/** The request as a command for a POSIX shell. */
export function command(path, body) {
  const lines = [`curl -s ${quoted(new URL(path, document.baseURI).href)}`, "-H 'Content-Type: application/json'"];
  if (hasToken()) lines.push('-H "Authorization: Bearer $BERTUNE_TOKEN"');
  lines.push(`-d ${quoted(JSON.stringify(body))}`);
  return lines.join(" \\\n  ");
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

function block(name, content) {
  const code = element("pre", { tabIndex: 0 }, content);
  const button = element("button", { type: "button", class: "small", onclick: () => copy(code, content, button) }, texts().copy);
  return element("details", {}, element("summary", {}, name), element("div", { class: "code" }, button, code));
}

async function copy(code, content, button) {
  if (navigator.clipboard) await navigator.clipboard.writeText(content);
  else {
    // Browsers have no clipboard on pages without HTTPS, except on localhost.
    getSelection().selectAllChildren(code);
    document.execCommand("copy");
  }
  button.textContent = texts().copied;
  setTimeout(() => {
    button.textContent = texts().copy;
  }, 1500);
}
