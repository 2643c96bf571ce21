// Held keys, from the browser to Python. A function expression; Python calls it with `config`:
//   channel  id of the hidden text element whose value carries the events
//   swallow  KeyboardEvent.code values, and characters typed, that nobody else on the page may see
//   listen   false: stop listening for this channel
//
// Each event is the JSON list
//   [kind, code, key, shift, double, held codes, sequence, epoch milliseconds, pointer]
// with kind "down", "up", "clear" (nothing is held any more), "ready" (listening has begun) or
// "command" (a button of the page was pressed; code is the command's name); double: it was pressed
// DOUBLE_MS before at most, and nothing else since; pointer [x, y] in [0, 1] of the 3-D canvas, or
// null while it is elsewhere.
//
// For the scripts of the first-person picture, window.__vmemKeyboard has `held` (a Map by code),
// `modifiers` {shift, control, alt} and `command(name)`. In turn window.__vmemFirstPerson.takes(event)
// says whether a key pressed with ctrl or alt walks, and so is taken all the same.
//
// Leans on viser 1.1.1: window.__viserMutable.sendMessage and the GuiUpdateMessage.
(config) => {
  const current = window.__vmemKeyboard;
  if (!config.listen) {
    if (current?.channel === config.channel) current.dispose();
    return;
  }
  if (current?.channel === config.channel) {
    current.swallow = new Set(config.swallow);
    return;
  }
  current?.dispose();

  const held = new Map(); // code -> whether the press was swallowed
  const modifiers = { shift: false, control: false, alt: false };
  const keyboard = {
    channel: config.channel, swallow: new Set(config.swallow), held, modifiers, command, dispose,
  };
  window.__vmemKeyboard = keyboard;
  const DOUBLE_MS = 350; // from one press to the next
  const UNLOCK_MS = 100; // from the mouse's release to the Escape that released it
  let sequence = 0;
  let pointer = null;
  let last = { code: "", time: 0 }; // the press that another one may double
  let unlocked = -Infinity; // when the mouse was given back
  let asks = false; // whether the page asks before it is closed

  const UNTYPED_INPUTS = new Set(
    ["button", "checkbox", "color", "file", "image", "radio", "range", "reset", "submit"],
  );
  const isActivation = (code) => code === "Space" || code === "Enter";
  const isStepping = (code) => /^(Arrow|Home$|End$|Page)/.test(code);

  function takesText(element) {
    if (!(element instanceof HTMLElement)) return false;
    if (element.isContentEditable) return true;
    if (element.tagName === "INPUT") return !UNTYPED_INPUTS.has(element.type);
    return element.tagName === "TEXTAREA" || element.tagName === "SELECT";
  }

  const isInDialog = (element) =>
    element instanceof HTMLElement && element.closest("[aria-modal=true]") !== null;

  // viser's dropdowns are text fields.
  const isDropdown = (element) => element?.getAttribute("aria-haspopup") === "listbox";
  const isClosed = (element) => element.getAttribute("aria-expanded") !== "true";

  // A ticked checkbox or a closed dropdown keeps the focus: letters must act all the same, only its
  // own keys stay its own. Dialogs keep everything but Escape, which both of us hear.
  function belongsToPage(element, code) {
    if (!(element instanceof HTMLElement)) return false;
    if (isDropdown(element) && isClosed(element) && !isInDialog(element)) {
      return isActivation(code) || isStepping(code);
    }
    if (takesText(element)) return true;
    if (isInDialog(element)) return code !== "Escape";
    if (element.tagName === "INPUT") return isActivation(code) || isStepping(code);
    return element.getAttribute("role") === "slider" && isStepping(code);
  }

  const walks = (event) => window.__vmemFirstPerson?.takes?.(event) ?? false;

  function isDouble(code, time) {
    const double = last.code === code && time - last.time < DOUBLE_MS;
    last = double ? { code: "", time } : { code, time };
    return double;
  }

  function send(kind, code, time, { key = "", shift = false, double = false } = {}) {
    const value = JSON.stringify([
      kind, code, key, shift, double,
      [...held.keys()], ++sequence, performance.timeOrigin + time, pointer,
    ]);
    window.__viserMutable?.sendMessage({
      type: "GuiUpdateMessage",
      uuid: keyboard.channel,
      updates: { value },
    });
  }

  function swallow(event) {
    event.stopImmediatePropagation();
    event.preventDefault();
  }

  function noteModifiers({ shiftKey, ctrlKey, altKey }) {
    Object.assign(modifiers, { shift: shiftKey, control: ctrlKey, alt: altKey });
  }

  function onKeyDown(event) {
    noteModifiers(event);
    // macOS sends no key-up for keys that are released while Cmd is down.
    if (event.key === "Meta") clear();
    if (event.code === "Escape" && givesMouseBack(event)) return swallow(event);
    if (event.code === "Escape" || event.code === "Enter") leaveDropdown();
    if (event.metaKey || event.isComposing) return;
    if (!event.code || belongsToPage(event.target, event.code)) return;
    if (event.ctrlKey || event.altKey) {
      const walking = walks(event);
      // Ctrl+W, of a walker who goes slowly, cannot be kept from closing the page; but the page may
      // ask first. Not where Ctrl is held for another key, as to reload.
      asks = walking && event.ctrlKey;
      if (!walking) return;
      // Else Alt would open the browser's menu.
      if (event.key === "Alt") event.preventDefault();
      if (event.key === "Alt" || event.key === "Control") return;
    }
    const ours = keyboard.swallow.has(event.code) || keyboard.swallow.has(event.key.toLowerCase());
    const taken = ours && !isInDialog(event.target);
    if (taken) swallow(event);
    if (event.repeat || held.has(event.code)) return;
    held.set(event.code, taken);
    const double = isDouble(event.code, event.timeStamp);
    send("down", event.code, event.timeStamp, { key: event.key, shift: event.shiftKey, double });
  }

  // Escape gives the mouse back, and does nothing else. Some browsers do so by themselves and then
  // tell of the key, some only tell of the key.
  function givesMouseBack(event) {
    if (!document.pointerLockElement) return event.timeStamp - unlocked < UNLOCK_MS;
    document.exitPointerLock();
    return true;
  }

  function onLockChange(event) {
    if (!document.pointerLockElement) unlocked = event.timeStamp;
  }

  // A button of the page: a gamepad's, or one for fingers.
  function command(name) {
    const now = performance.now();
    send("command", name, now, { double: isDouble(name, now) });
  }

  // Arrows would open a dropdown again whose choice was made or given up. It has yet to see the
  // event itself, hence the delay.
  function leaveDropdown() {
    setTimeout(() => isDropdown(document.activeElement) && document.activeElement.blur());
  }

  function onClick({ target }) {
    if (target instanceof Element && target.closest("[role=option]")) leaveDropdown();
  }

  // A key-up is swallowed only if its key-down was: whoever saw the press must see the release.
  function onKeyUp(event) {
    noteModifiers(event);
    if (event.key === "Control") asks = false;
    if (event.key === "Alt" && walks(event)) event.preventDefault();
    const taken = held.get(event.code);
    if (!held.delete(event.code)) return;
    if (taken) swallow(event);
    send("up", event.code, event.timeStamp, { key: event.key, shift: event.shiftKey });
  }

  function clear() {
    noteModifiers({ shiftKey: false, ctrlKey: false, altKey: false });
    asks = false;
    if (held.size === 0) return;
    held.clear();
    send("clear", "", performance.now());
  }

  function onPointerMove(event) {
    const canvas = event.target instanceof HTMLCanvasElement ? event.target : null;
    const box = canvas?.getBoundingClientRect();
    pointer = box?.width && box.height
      ? [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]
      : null;
  }

  const onHidden = () => document.hidden && clear();
  const onFocus = (event) => takesText(event.target) && clear();

  const listeners = [
    [window, "keydown", onKeyDown],
    [window, "keyup", onKeyUp],
    [window, "blur", (event) => event.target === window && clear()],
    [document, "visibilitychange", onHidden],
    [document, "focusin", onFocus],
    [window, "pointermove", onPointerMove],
    [window, "click", onClick],
    [document, "pointerlockchange", onLockChange],
    [window, "beforeunload", (event) => asks && event.preventDefault()],
  ];
  for (const [target, name, listener] of listeners) target.addEventListener(name, listener, true);

  function dispose() {
    for (const [target, name, listener] of listeners) {
      target.removeEventListener(name, listener, true);
    }
    if (window.__vmemKeyboard === keyboard) delete window.__vmemKeyboard;
  }

  (function announce() {
    if (window.__vmemKeyboard !== keyboard) return;
    if (window.__viserMutable) send("ready", "", performance.now());
    else setTimeout(announce, 50);
  })();
}
