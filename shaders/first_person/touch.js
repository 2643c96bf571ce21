// Fingers on the picture: a stick where one lands at the left, looking with one elsewhere, and a few
// buttons. Nothing of it is there before a touch screen is.

class Touch {
  static LEFT = 0.4; // share of the width in which a finger takes the stick
  static RADIUS = 56; // CSS pixels from the stick's middle to its end
  static REST = 0.12; // share of it that is none
  static LOOK = 0.005; // radians a CSS pixel
  static STYLE = `
    [data-vmem=touch] { position: absolute; overflow: hidden; pointer-events: none;
      user-select: none; -webkit-user-select: none; }
    [data-vmem=stick] { position: absolute; box-sizing: border-box; border-radius: 50%;
      width: 112px; height: 112px; margin: -56px 0 0 -56px; background: #0005;
      border: 2px solid #fff8; opacity: 0.45; }
    [data-vmem=stick].held { opacity: 1; }
    [data-vmem=stick] > div { position: absolute; inset: 30px; border-radius: 50%;
      background: #fffc; }
    [data-vmem=touch-buttons] { position: absolute; right: 12px; bottom: 96px; display: flex;
      flex-direction: column; gap: 10px; }
    [data-vmem=touch-buttons] > button { width: 52px; height: 52px; padding: 0; border-radius: 50%;
      border: 2px solid #fff8; background: #0007; color: #fff; font: 600 13px sans-serif;
      pointer-events: auto; touch-action: manipulation; }
    [data-vmem=touch-buttons] > button:active { background: #fff5; }`;

  constructor(canvas) {
    this.canvas = canvas;
    this.buttons = []; // [name of a command, label]
    this.onCommand = () => {};
    this.onLook = () => {};
    this.walk = [0, 0]; // right, ahead
    this.thumb = null; // {id, x, y}: the finger on the stick and where it landed
    this.finger = null; // {id, x, y}: the finger that looks, and where it was
    this.box = null;
    this.shown = false;
    if (window.matchMedia?.("(pointer: coarse)").matches) this.appear();
  }

  dispose() {
    this.sizes?.disconnect();
    this.box?.remove();
  }

  // With the picture, or away with it.
  show(shown) {
    this.shown = shown;
    if (!shown) this.letGo();
    this.place();
  }

  setButtons(buttons) {
    this.buttons = buttons;
    this.list?.replaceChildren(...buttons.map((one) => this.button(...one)));
  }

  button(name, label) {
    const button = document.createElement("button");
    button.textContent = label;
    button.type = "button";
    button.addEventListener("click", (event) => {
      event.stopPropagation();
      button.blur(); // else it would take keys
      this.onCommand(name);
    });
    return button;
  }

  appear() {
    const made = (name, ...children) => {
      const element = document.createElement("div");
      if (name) element.dataset.vmem = name;
      element.append(...children);
      return element;
    };
    const style = document.createElement("style");
    style.textContent = Touch.STYLE;
    this.knob = made("");
    this.stick = made("stick", this.knob);
    this.list = made("touch-buttons");
    this.box = made("touch", style, this.stick, this.list);
    this.setButtons(this.buttons);
    this.canvas.after(this.box);
    this.sizes = new ResizeObserver(() => this.place());
    this.sizes.observe(this.canvas);
    this.rest();
    this.place();
  }

  // Over the picture, wherever that is.
  place() {
    if (!this.box) return;
    const { offsetLeft: left, offsetTop: top, offsetWidth: width, offsetHeight: height } = this.canvas;
    const box = { left, top, width, height };
    for (const [side, pixels] of Object.entries(box)) this.box.style[side] = `${pixels}px`;
    this.box.style.display = this.shown ? "block" : "none";
  }

  // --- fingers: pointer events of the canvas -------------------------------------------------

  down(event) {
    if (!this.box) this.appear();
    const at = { id: event.pointerId, x: event.clientX, y: event.clientY };
    const { left, top, width } = this.canvas.getBoundingClientRect();
    if (!this.thumb && at.x - left < Touch.LEFT * width) {
      this.thumb = at;
      this.stick.classList.add("held");
      this.stick.style.left = `${at.x - left}px`;
      this.stick.style.top = `${at.y - top}px`;
    } else this.finger ??= at;
  }

  move(event) {
    const { pointerId: id, clientX: x, clientY: y } = event;
    if (id === this.thumb?.id) this.push(x - this.thumb.x, y - this.thumb.y);
    if (id !== this.finger?.id) return;
    this.onLook((x - this.finger.x) * Touch.LOOK, (y - this.finger.y) * Touch.LOOK);
    this.finger = { id, x, y };
  }

  up({ pointerId: id }) {
    if (id === this.finger?.id) this.finger = null;
    if (id === this.thumb?.id) this.rest();
  }

  letGo() {
    this.finger = null;
    if (this.stick) this.rest();
  }

  push(x, y) {
    const away = Math.hypot(x, y);
    const share = Math.min(1, away / Touch.RADIUS);
    const size = share > Touch.REST ? (share - Touch.REST) / (1 - Touch.REST) : 0;
    this.walk = away ? [(x / away) * size, (-y / away) * size] : [0, 0];
    const [right, down] = away ? [x / away, y / away].map((one) => one * share * Touch.RADIUS) : [0, 0];
    this.knob.style.transform = `translate(${right}px, ${down}px)`;
  }

  rest() {
    this.thumb = null;
    this.push(0, 0);
    this.stick.classList.remove("held");
    this.stick.style.left = "84px";
    this.stick.style.top = "calc(100% - 176px)"; // above the views at the foot
  }
}
