// A line of the most important keys over the picture, until the walker has moved for the first time.

const FADE_SECONDS = 1.2;

class Hints {
  // parent: what is shown and hidden with the picture · texts: {keys, touch}, for who has a keyboard
  // and who has none.
  constructor(parent, texts) {
    this.line = document.createElement("div");
    this.line.dataset.vmem = "hints";
    const touch = matchMedia("(pointer: coarse)").matches;
    this.line.textContent = touch ? texts.touch : texts.keys;
    // Over the map from above and the strip of views; on a phone the panel and the thumbs are below.
    const place = touch ? "top:22%" : "bottom:max(20%, 200px)";
    this.line.style.cssText =
      `position:absolute;left:0;right:0;${place};margin:auto;z-index:5;` +
      "width:fit-content;max-width:80%;padding:6px 14px;border-radius:8px;background:#0009;" +
      "color:#fff;opacity:1;pointer-events:none;text-align:center;font:14px system-ui,sans-serif;" +
      `transition:opacity ${FADE_SECONDS}s`;
    parent.append(this.line);
  }

  moved() {
    this.line.style.opacity = 0;
  }
}
