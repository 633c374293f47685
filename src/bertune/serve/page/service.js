// Requests to the service, with its token where it needs one.
import { byId, fill } from "./dom.js";
import { count, texts } from "./texts.js";

const STORED = "bertune-token";

/** An error of the service, or of the connection to it; `kind` is that of the error body. */
export class ServiceError extends Error {
  constructor(kind, message, retryAfter = null) {
    super(message);
    this.kind = kind;
    this.retryAfter = retryAfter;
  }

  /** What the user reads: in their language where the reason is general, otherwise in the words of the service. */
  get shown() {
    const known = texts().errors;
    if (this.kind === "overloaded" && this.retryAfter) return known.overloaded(count(this.retryAfter));
    return known[this.kind] || this.message;
  }

  /** Further words of the service, if `shown` does not have them. */
  get details() {
    return this.message === this.shown ? "" : this.message;
  }
}

/** The headers that identify the user. */
export function authorization() {
  const token = sessionStorage.getItem(STORED);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** Whether requests carry a token. */
export const hasToken = () => sessionStorage.getItem(STORED) !== null;

/** A response of the service. Asks for the token if the service wants one. Throws ServiceError. */
export async function respond(path, options = {}) {
  for (;;) {
    let response;
    try {
      response = await fetch(path, { ...options, headers: { ...options.headers, ...authorization() } });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ServiceError("unreachable", String(error.message));
    }
    if (response.ok) return response;
    if (response.status !== 401) throw await errorOf(response);
    await askForToken(hasToken());
  }
}

/** The JSON that the service answers. Throws ServiceError. */
export async function request(path, body = undefined, options = {}) {
  const sent =
    body === undefined
      ? options
      : { ...options, method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await respond(path, sent);
  return response.json();
}

/** Send a form with a file; `onProgress` gets the share that was sent. XMLHttpRequest, because fetch reports none. */
export async function upload(path, form, onProgress) {
  for (;;) {
    const sent = await sendForm(path, form, onProgress);
    if (sent.status !== 401) {
      const content = parsed(sent.responseText);
      if (sent.status < 300) return content;
      throw serviceError(sent.status, content, sent.getResponseHeader("Retry-After"));
    }
    await askForToken(hasToken());
  }
}

function sendForm(path, form, onProgress) {
  return new Promise((resolve, reject) => {
    const sent = new XMLHttpRequest();
    sent.open("POST", path);
    for (const [name, value] of Object.entries(authorization())) sent.setRequestHeader(name, value);
    sent.upload.addEventListener("progress", (event) => onProgress(event.loaded / event.total));
    sent.addEventListener("load", () => resolve(sent));
    sent.addEventListener("error", () => reject(new ServiceError("unreachable", "the connection was closed")));
    sent.send(form);
  });
}

async function errorOf(response) {
  return serviceError(response.status, parsed(await response.text()), response.headers.get("Retry-After"));
}

function serviceError(status, content, retryAfter) {
  const kind = (content && content.kind) || (status >= 500 ? "failed" : "bad_request");
  const message = (content && content.error) || `HTTP ${status}`;
  return new ServiceError(kind, message, retryAfter ? Number(retryAfter) : null);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null; // a proxy in between answered
    throw error;
  }
}

let asked = null;

/** Ask for the token; concurrent requests share the question. */
function askForToken(isWrong) {
  asked ??= new Promise((resolve) => {
    const dialog = byId("token");
    const value = byId("token-value");
    fill(byId("token-why"), isWrong ? texts().tokenWrong : "");
    value.value = "";
    dialog.addEventListener("cancel", (event) => event.preventDefault(), { once: true });
    dialog.addEventListener(
      "close",
      () => {
        sessionStorage.setItem(STORED, value.value.trim());
        value.value = "";
        asked = null;
        resolve();
      },
      { once: true },
    );
    dialog.showModal();
    value.focus();
  });
  return asked;
}
