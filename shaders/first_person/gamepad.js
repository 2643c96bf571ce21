// A gamepad of the standard mapping: sticks walk and look, triggers go up and down, buttons are
// commands. Gamepads tell nothing by themselves: they are asked, once a frame while there is one.

class Gamepads {
  static REST = 0.15; // share of a stick's way that is none: sticks do not come back to 0
  static FULL = 0.95; // share from which it is all
  static LOOKED_FOR_MS = 1000; // from one look for a gamepad to the next, while there is none

  constructor() {
    this.commands = {}; // index of a button -> name of a command
    this.onCommand = () => {};
    this.pressed = null; // of the gamepad in use, by button; null while there is none
    this.looked = -Infinity;
  }

  // {ahead, right, up, turn, tilt} in [-1, 1], or null without a gamepad. Commands are called.
  wish(now = performance.now()) {
    if (!this.pressed && now - this.looked < Gamepads.LOOKED_FOR_MS) return null;
    this.looked = now;
    const pads = navigator.getGamepads?.() ?? [];
    const pad = [...pads].find((one) => one?.connected && one.mapping === "standard");
    if (!pad) {
      this.pressed = null;
      return null;
    }
    this.press(pad.buttons.map((button) => button.pressed));
    const [right, back] = Gamepads.stick(pad.axes[0], pad.axes[1]);
    const [turn, tilt] = Gamepads.stick(pad.axes[2], pad.axes[3]);
    const [down, up] = [6, 7].map((button) => Gamepads.stick(pad.buttons[button]?.value, 0)[0]);
    return { ahead: -back, right, up: up - down, turn, tilt };
  }

  press(pressed) {
    // A gamepad is first seen when one of its buttons is pressed: that press only wakes it.
    const before = this.pressed ?? pressed;
    this.pressed = pressed;
    for (const [button, name] of Object.entries(this.commands)) {
      if (pressed[button] && !before[button]) this.onCommand(name);
    }
  }

  // A stick's place -> [x, y] within the unit circle: 0 about the middle, then gently more.
  static stick(x, y) {
    const away = Math.hypot(x, y);
    const share = (away - Gamepads.REST) / (Gamepads.FULL - Gamepads.REST);
    if (!(share > 0)) return [0, 0];
    const size = Math.min(1, share) ** 2;
    return [(x / away) * size, (y / away) * size];
  }
}
