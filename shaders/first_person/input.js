// What the walker wishes: held keys, mouse, gamepad and fingers, added. Nothing here moves him.
// Keys come from keyboard.js (window.__vmemKeyboard), which knows when they are the page's own.

class Input {
  static LOOK = 0.0025; // radians a pixel of the mouse
  static CLICK = 4; // CSS pixels within which a press is a click
  static WHEEL = 600; // CSS pixels of scrolling that make a factor of e
  static SPEEDS = [0.1, 4];
  static FASTER = 2.5;
  static SLOWER = 0.4;
  static WISHES = {
    w: ["ahead", 1], s: ["ahead", -1], q: ["right", -1], e: ["right", 1],
    a: ["turn", -1], d: ["turn", 1], r: ["up", 1], f: ["up", -1], t: ["tilt", -1], g: ["tilt", 1],
  };

  constructor(canvas) {
    this.canvas = canvas;
    this.speed = 1; // factor of the walker's own
    this.onCommand = () => {}; // called with the name of a command
    this.moves = new Map(); // KeyboardEvent.code -> move word
    this.look = [0, 0];
    this.drag = null; // {id, x, y, far}: the pressed mouse and where it was
    this.gamepads = new Gamepads();
    this.touch = new Touch(canvas);
    for (const part of [this.gamepads, this.touch]) part.onCommand = (name) => this.onCommand(name);
    this.touch.onLook = (right, down) => this.addLook(right, down);
    this.listen();
  }

  dispose() {
    this.stop.abort();
    this.touch.dispose();
    if (this.locked) document.exitPointerLock();
  }

  // moves: {code: move word}; pad: {index of a button: command}; touch: [[command, label]].
  configure({ moves, pad, touch }) {
    this.moves = new Map(Object.entries(moves));
    this.gamepads.commands = pad;
    this.touch.setButtons(touch);
  }

  // Whether the picture is there to be walked in.
  show(shown) {
    this.touch.show(shown);
    if (shown) return;
    this.drag = null;
    this.look = [0, 0];
    if (this.locked) document.exitPointerLock();
  }

  get locked() {
    return document.pointerLockElement === this.canvas;
  }

  // Whether a key pressed with ctrl or alt walks, slowly or through walls. With ctrl only keys that
  // walk and turn: Ctrl+R, F, T and G stay the browser's.
  takes({ key, code, ctrlKey }) {
    if (key === "Control" || key === "Alt") return true;
    const axis = Input.WISHES[this.moves.get(code)]?.[0];
    return axis !== undefined && !(ctrlKey && (axis === "up" || axis === "tilt"));
  }

  // {ahead, right, up, turn, tilt} in [-1, 1]; pace, a factor of the walker's speed; through, whether
  // he wants to pass through walls.
  wish() {
    const wish = { ahead: 0, right: 0, up: 0, turn: 0, tilt: 0 };
    const { held, modifiers } = window.__vmemKeyboard ?? { held: new Map(), modifiers: {} };
    for (const code of held.keys()) {
      const [axis, sign] = Input.WISHES[this.moves.get(code)] ?? [];
      if (axis) wish[axis] += sign;
    }
    const pad = this.gamepads.wish() ?? {};
    const [right, ahead] = this.touch.walk;
    for (const more of [pad, { right, ahead }]) {
      for (const axis of Object.keys(more)) wish[axis] += more[axis];
    }
    for (const axis of Object.keys(wish)) wish[axis] = Math.max(-1, Math.min(1, wish[axis]));
    const faster = modifiers.shift ? Input.FASTER : 1;
    const slower = modifiers.control ? Input.SLOWER : 1;
    return { ...wish, pace: this.speed * faster * slower, through: Boolean(modifiers.alt) };
  }

  // [right, down] radians since the last call.
  takeLook() {
    const look = this.look;
    this.look = [0, 0];
    return look;
  }

  addLook(right, down) {
    this.look = [this.look[0] + right, this.look[1] + down];
  }

  // --- mouse ---------------------------------------------------------------------------------

  listen() {
    const { canvas } = this;
    canvas.style.touchAction = "none";
    canvas.style.userSelect = canvas.style.webkitUserSelect = "none";
    this.stop = new AbortController();
    const on = (name, what) =>
      canvas.addEventListener(
        name,
        (event) => {
          event.stopPropagation(); // viser's own camera must not hear of it
          what.call(this, event);
        },
        { signal: this.stop.signal, passive: false },
      );
    on("pointerdown", this.pointerDown);
    on("pointermove", this.pointerMove);
    on("pointerup", (event) => this.pointerUp(event, true));
    on("pointercancel", (event) => this.pointerUp(event, false));
    on("wheel", this.wheel);
    on("click", () => {});
    on("dblclick", () => {});
    // Of a long press: fingers stay on the picture.
    on("contextmenu", (event) => event.pointerType === "touch" && event.preventDefault());
  }

  pointerDown(event) {
    const { pointerId: id, pointerType, clientX: x, clientY: y, button } = event;
    if (pointerType !== "touch" && (button !== 0 || this.locked)) return;
    // Pointers that a script has made up cannot be captured.
    if (event.isTrusted) this.canvas.setPointerCapture(id);
    if (pointerType === "touch") this.touch.down(event);
    else this.drag = { id, x, y, far: false };
  }

  pointerMove(event) {
    if (event.pointerType === "touch") return this.touch.move(event);
    const { clientX: x, clientY: y } = event;
    if (this.locked) this.addLook(event.movementX * Input.LOOK, event.movementY * Input.LOOK);
    const { drag } = this;
    if (this.locked || drag?.id !== event.pointerId) return;
    const way = [x - drag.x, y - drag.y];
    if (!drag.far && Math.hypot(...way) <= Input.CLICK) return;
    this.addLook(way[0] * Input.LOOK, way[1] * Input.LOOK);
    this.drag = { id: drag.id, x, y, far: true };
  }

  pointerUp(event, released) {
    if (event.pointerType === "touch") return this.touch.up(event);
    const { drag } = this;
    if (drag?.id !== event.pointerId) return;
    this.drag = null;
    // Some browsers refuse for a second after Escape.
    if (released && !drag.far) this.canvas.requestPointerLock?.()?.catch?.(() => {});
  }

  wheel(event) {
    if (event.ctrlKey) return; // the browser's zoom
    event.preventDefault();
    const pixels = event.deltaY * [1, 16, this.canvas.clientHeight][event.deltaMode];
    const [least, most] = Input.SPEEDS;
    this.speed = Math.max(least, Math.min(most, this.speed * Math.exp(-pixels / Input.WHEEL)));
  }
}
