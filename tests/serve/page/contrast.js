// Finds texts without enough contrast (WCAG 2, level AA) and controls without a name for screen readers.

function channels(color) {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d");
  canvas.fillStyle = color;
  canvas.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
  return { rgb: [red, green, blue], alpha: alpha / 255 };
}

function background(element) {
  const layers = [];
  for (let at = element; at; at = at.parentElement) {
    const layer = channels(getComputedStyle(at).backgroundColor);
    layers.push(layer);
    if (layer.alpha === 1) break;
  }
  return layers.reverse().reduce(
    (below, { rgb, alpha }) => below.map((value, at) => alpha * rgb[at] + (1 - alpha) * value),
    [255, 255, 255],
  );
}

function luminance(rgb) {
  const [red, green, blue] = rgb.map((value) => {
    const share = value / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function unreadable() {
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!hasText || !element.checkVisibility() || element.closest("option, noscript, .skip, #summary")) continue;
    const text = luminance(channels(getComputedStyle(element).color).rgb);
    const behind = luminance(background(element));
    const contrast = (Math.max(text, behind) + 0.05) / (Math.min(text, behind) + 0.05);
    if (contrast < 4.5) found.push(`${element.tagName}.${element.className} ${element.textContent.slice(0, 30)} ${contrast}`);
  }
  return found;
}

function unnamed() {
  const controls = [...document.querySelectorAll("button, select, textarea, input, progress")];
  return controls
    .filter((control) => control.checkVisibility())
    .filter((control) => {
      const label = control.labels?.[0]?.textContent || control.getAttribute("aria-label") || "";
      return !(label.trim() || (control.tagName === "BUTTON" && control.textContent.trim()));
    })
    .map((control) => control.outerHTML.slice(0, 80));
}
