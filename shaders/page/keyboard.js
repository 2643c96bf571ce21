// Held keys, from the browser to Python. A function expression; Python calls it with `config`:
//   channel  id of the hidden text element whose value carries the events
//   swallow  KeyboardEvent.code values that nobody else on the page may see
//   listen   false: stop listening for this channel
//
// Each event is the JSON list [kind, code, shift, held codes, sequence, epoch milliseconds, pointer]
// with kind "down", "up", "clear" (nothing is held any more) or "ready" (listening has begun), and
// pointer [x, y] in [0, 1] of the 3-D canvas, or null while it is elsewhere.
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

  const keyboard = { channel: config.channel, swallow: new Set(config.swallow), dispose };
  window.__vmemKeyboard = keyboard;
  const held = new Map(); // code -> whether the press was swallowed
  let sequence = 0;
  let pointer = null;

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

  function send(kind, code, shift, time) {
    const value = JSON.stringify(
      [kind, code, shift, [...held.keys()], ++sequence, performance.timeOrigin + time, pointer],
    );
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

  function onKeyDown(event) {
    // macOS sends no key-up for keys that are released while Cmd is down.
    if (event.key === "Meta") clear();
    if (event.code === "Escape" || event.code === "Enter") leaveDropdown();
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (!event.code || belongsToPage(event.target, event.code)) return;
    const taken = keyboard.swallow.has(event.code) && !isInDialog(event.target);
    if (taken) swallow(event);
    if (event.repeat || held.has(event.code)) return;
    held.set(event.code, taken);
    send("down", event.code, event.shiftKey, event.timeStamp);
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
    const taken = held.get(event.code);
    if (!held.delete(event.code)) return;
    if (taken) swallow(event);
    send("up", event.code, event.shiftKey, event.timeStamp);
  }

  function clear() {
    if (held.size === 0) return;
    held.clear();
    send("clear", "", false, performance.now());
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
    if (window.__viserMutable) send("ready", "", false, performance.now());
    else setTimeout(announce, 50);
  })();
}
