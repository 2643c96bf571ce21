// The pointer over our panels, from the browser to Python. A function expression; Python calls it
// with `config`:
//   channel  id of the hidden text element whose value carries the events
//   listen   false: stop listening for this channel
//
// Elements are marked data-vmem="row:12"; the innermost mark counts, and an empty one hides those
// around it. Each event is the JSON list [kind, target, x, y, sequence] with kind "enter" (over
// another mark, or the keyboard's focus came to one), "leave" (target: the mark that was left),
// "move" (only over marks with data-vmem-track) or "click" (Enter on a focused mark, too), and x, y
// in [0, 1] of the marked element.
//
// Panels are rendered anew at any time. So what counts is the mark, never the element: a mark that
// comes back under a resting pointer says nothing new, keeps the keyboard's focus, and can be
// clicked although press and release met different elements.
//
// Leans on viser 1.1.1: window.__viserMutable.sendMessage and the GuiUpdateMessage.
(config) => {
  const current = window.__vmemPointing;
  if (!config.listen) {
    if (current?.channel === config.channel) current.dispose();
    return;
  }
  if (current?.channel === config.channel) return;
  current?.dispose();

  const MARK = "data-vmem";
  const CLICK_SLOP = 8; // CSS pixels a press may wander and still be a click
  const pointing = { channel: config.channel, dispose };
  window.__vmemPointing = pointing;

  let sequence = 0;
  let pointer = null; // { x, y, element } of the client area while the pointer is on the page
  let pressed = null; // { x, y, target } while a button is down
  let pointed = ""; // mark under the pointer
  let focused = ""; // mark in the keyboard's focus
  let focusHolder = null; // and its element
  let latest = "pointer"; // which of the two came to a mark last
  let shown = { target: "", x: 0, y: 0 }; // what Python was last told
  let frame = 0;
  let stale = false; // something happened since the last look
  let moved = false; // and the page under the pointer may be another

  const markOf = (element) => element?.getAttribute(MARK) || "";

  function markedAround(element) {
    const marked = element instanceof Element ? element.closest(`[${MARK}]`) : null;
    return markOf(marked) ? marked : null;
  }

  function markedUnderPointer() {
    if (pointer === null) return null;
    if (moved || !pointer.element.isConnected) {
      pointer.element = document.elementFromPoint(pointer.x, pointer.y) ?? document.body;
    }
    return markedAround(pointer.element);
  }

  // A mouse click focuses, too; what was clicked must not stay lit when the mouse goes on.
  function markedInFocus() {
    const element = document.activeElement;
    return element?.matches(":focus-visible") ? markedAround(element) : null;
  }

  function within(element, x, y) {
    const box = element.getBoundingClientRect();
    const share = (at, start, size) => (size ? Math.min(Math.max((at - start) / size, 0), 1) : 0.5);
    return [share(x, box.left, box.width), share(y, box.top, box.height)];
  }

  function send(kind, target, at) {
    const value = JSON.stringify([kind, target, at[0], at[1], ++sequence]);
    window.__viserMutable?.sendMessage({
      type: "GuiUpdateMessage",
      uuid: pointing.channel,
      updates: { value },
    });
  }

  // Tell Python what is pointed at, if that is news.
  function look() {
    stale = false;
    const underPointer = markedUnderPointer();
    const inFocus = markedInFocus();
    moved = false;
    // A slider that is dragged across a table must not light its rows.
    if (pressed !== null && markOf(underPointer) !== pressed.target) return;
    if (markOf(inFocus) !== focused) {
      focused = markOf(inFocus);
      if (focused) latest = "focus";
    }
    if (markOf(underPointer) !== pointed) {
      pointed = markOf(underPointer);
      if (pointed) latest = "pointer";
    }
    focusHolder = inFocus;
    const [first, second] = latest === "focus" ? [inFocus, underPointer] : [underPointer, inFocus];
    tell(first ?? second, (first ?? second) === underPointer);
  }

  function tell(marked, byPointer) {
    const target = markOf(marked);
    if (!target) {
      if (shown.target) send("leave", shown.target, [shown.x, shown.y]);
      shown = { target, x: 0, y: 0 };
      return;
    }
    const isNew = target !== shown.target;
    const tracks = byPointer && marked.hasAttribute("data-vmem-track");
    if (!isNew && !tracks) return;
    const [x, y] = byPointer ? within(marked, pointer.x, pointer.y) : [0.5, 0.5];
    if (!isNew && x === shown.x && y === shown.y) return;
    send(isNew ? "enter" : "move", target, [x, y]);
    shown = { target, x, y };
  }

  // At once, and then at most once per animation frame, whatever happens in between.
  function lookSoon() {
    stale = true;
    if (frame) return;
    look();
    awaitFrame();
  }

  function lookAgain() {
    stale = moved = true;
    if (!frame) awaitFrame();
  }

  function awaitFrame() {
    frame = requestAnimationFrame(() => {
      frame = 0;
      if (stale) lookSoon();
    });
  }

  // A page that moves under a resting mouse sends pointer events by itself in time; a new mark in the
  // same place, or under a finger, does not.
  const changes = new MutationObserver(() => {
    if (focusHolder && !focusHolder.isConnected) {
      const again = document.querySelector(`[${MARK}="${CSS.escape(focused)}"]`);
      const isFree = document.activeElement === null || document.activeElement === document.body;
      focusHolder = null;
      if (isFree) again?.focus({ preventScroll: true, focusVisible: true });
    }
    if (pointer || shown.target) lookAgain();
  });

  function onPointer(event) {
    if (!event.isPrimary) return;
    // Released outside the page. A panel rendered anew under a resting pointer makes events, too.
    const rests = pointer?.x === event.clientX && pointer?.y === event.clientY;
    if (!event.buttons && !rests) pressed = null;
    pointer = { x: event.clientX, y: event.clientY, element: event.target };
    lookSoon();
  }

  function onPointerDown(event) {
    if (!event.isPrimary) return;
    pointer = { x: event.clientX, y: event.clientY, element: event.target };
    pressed = null;
    latest = "pointer";
    lookNow();
    const target = markOf(markedAround(event.target));
    pressed = { x: event.clientX, y: event.clientY, target, button: event.button };
  }

  function onPointerUp(event) {
    if (!event.isPrimary) return;
    const press = pressed;
    pressed = null;
    pointer = { x: event.clientX, y: event.clientY, element: event.target };
    moved = true; // the event's own target may be captured, or gone
    lookNow();
    const marked = markedAround(pointer.element);
    if (!press || press.button !== 0 || !marked || markOf(marked) !== press.target) return;
    if (Math.hypot(event.clientX - press.x, event.clientY - press.y) > CLICK_SLOP) return;
    send("click", press.target, within(marked, event.clientX, event.clientY));
  }

  function onPointerCancel(event) {
    if (!event.isPrimary) return;
    pressed = null;
    leavePage();
  }

  function lookNow() {
    cancelAnimationFrame(frame);
    frame = 0;
    lookSoon();
  }

  function leavePage() {
    pointer = null;
    lookNow();
  }

  const NATIVE = "a[href], button, input, select, summary, textarea";

  function onKeyDown(event) {
    if (event.key !== "Enter" || event.repeat || event.isComposing) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const element = event.target;
    // A button makes a click of it by itself; only what was itself focused may be clicked.
    if (!(element instanceof Element) || element.matches(NATIVE)) return;
    if (!element.hasAttribute("tabindex")) return;
    clickWithoutPointer(element);
  }

  // Clicks of a pointer are told by press and release; this one came from a key or a script.
  const onClick = (event) => event.detail === 0 && clickWithoutPointer(event.target);

  function clickWithoutPointer(element) {
    const marked = markedAround(element);
    if (!marked) return;
    lookNow();
    send("click", markOf(marked), [0.5, 0.5]);
  }

  const listeners = [
    [document, "pointermove", onPointer],
    [document, "pointerover", onPointer],
    [document, "pointerdown", onPointerDown],
    [document, "pointerup", onPointerUp],
    [document, "pointercancel", onPointerCancel],
    [document, "pointerout", (event) => event.relatedTarget === null && lookAgain()],
    [document, "pointerleave", (event) => event.target === document.documentElement && leavePage()],
    [document, "visibilitychange", () => document.hidden && leavePage()],
    [document, "scroll", lookAgain],
    [document, "focusin", lookSoon],
    [document, "focusout", lookAgain],
    [document, "keydown", onKeyDown],
    [document, "click", onClick],
  ];
  for (const [target, name, listener] of listeners) target.addEventListener(name, listener, true);
  changes.observe(document, {
    subtree: true, childList: true, attributes: true, attributeFilter: [MARK],
  });

  function dispose() {
    for (const [target, name, listener] of listeners) {
      target.removeEventListener(name, listener, true);
    }
    changes.disconnect();
    cancelAnimationFrame(frame);
    if (window.__vmemPointing === pointing) delete window.__vmemPointing;
  }
}
