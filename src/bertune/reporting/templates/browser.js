// The error browser: searches, filters and sorts the errors of the page. Without it, the page shows all of them.
"use strict";
(() => {
  const STEP = 20;
  const list = document.querySelector("#errors");
  const controls = document.querySelector("#browser");
  if (!list || !controls) return;
  const more = document.querySelector("#more-errors");
  const rest = document.querySelector("#other-errors");
  const search = controls.querySelector("input");
  const kind = controls.querySelector("#browser-kind"); // absent if errors have no kinds
  const order = controls.querySelector("#browser-order");
  const status = controls.querySelector("[role=status]");
  if (rest) {
    list.append(...rest.querySelector("ol").children);
    rest.remove();
  }
  const errors = [...list.children].map((element) => ({
    element,
    kinds: JSON.parse(element.dataset.kinds),
    text: element.textContent.toLowerCase(),
    rank: Number(element.dataset.rank),
    length: Number(element.dataset.length),
    row: Number(element.dataset.row),
  }));
  const orders = {
    rank: (a, b) => a.rank - b.rank,
    longest: (a, b) => b.length - a.length || a.rank - b.rank,
    shortest: (a, b) => a.length - b.length || a.rank - b.rank,
    file: (a, b) => a.row - b.row || a.rank - b.rank,
  };
  let limit = STEP;

  function update() {
    const wanted = search.value.trim().toLowerCase();
    const found = errors
      .filter((one) => (!kind || !kind.value || one.kinds.includes(kind.value)) && one.text.includes(wanted))
      .sort(orders[order.value]);
    const shown = found.slice(0, limit);
    list.replaceChildren(...shown.map((one) => one.element));
    more.hidden = shown.length === found.length;
    more.textContent = `Show ${Math.min(STEP, found.length - shown.length)} more`;
    status.textContent = found.length === errors.length
      ? `${shown.length} of ${found.length}`
      : `${shown.length} of ${found.length} matches`;
  }

  function restart() {
    limit = STEP;
    update();
  }

  // A link to an error that is not shown at the moment.
  function reveal() {
    const target = errors.find((one) => `#${one.element.id}` === location.hash);
    if (!target) return;
    if (!target.element.isConnected) {
      search.value = "";
      if (kind) kind.value = "";
      order.value = "rank";
      limit = Math.max(STEP, target.rank);
      update();
    }
    target.element.scrollIntoView();
  }

  search.addEventListener("input", restart);
  for (const select of controls.querySelectorAll("select")) select.addEventListener("change", restart);
  more.addEventListener("click", () => { limit += STEP; update(); });
  window.addEventListener("hashchange", reveal);
  window.addEventListener("beforeprint", () => { limit = errors.length; update(); });
  controls.hidden = false;
  update();
  reveal();
})();
