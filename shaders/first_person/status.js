// One line over the picture that says what has just happened, and goes by itself.

class Status {
  static SHOWN_MS = 2500;

  constructor(parent) {
    this.element = document.createElement("div");
    this.element.dataset.vmem = "status";
    this.element.setAttribute("role", "status");
    this.element.style.cssText =
      "position:absolute;left:50%;top:12%;transform:translateX(-50%);max-width:80%;padding:6px 14px;" +
      "border-radius:14px;background:rgba(16,16,20,.72);color:#f2eee6;font:14px/1.35 system-ui,sans-serif;" +
      "text-align:center;pointer-events:none;opacity:0;transition:opacity .25s;z-index:3";
    parent.append(this.element);
  }

  say(text, now) {
    if (this.element.textContent !== text) this.element.textContent = text;
    this.element.style.opacity = 1;
    this.until = now + Status.SHOWN_MS;
  }

  settle(now) {
    if (this.until && now > this.until) {
      this.element.style.opacity = 0;
      this.until = 0;
    }
  }
}
