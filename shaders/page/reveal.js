// Brings an answer to where the user looks. A function expression; Python calls it with `config`:
//   tab     name of the tab that must be open, or null: whichever is
//   answer  value of the data-vmem-answer attribute of what is to be seen, or null
//
// The page is told of the answer just before this and renders it some frames later, its pictures later
// still; so this looks, and then scrolls, for a while, unless the user scrolls or presses anything. An
// answer that does not turn up, as in a tab that is not open, is left alone.
(config) => {
  const APPEARS_WITHIN = 2000; // milliseconds
  const SETTLES_WITHIN = 500;
  const HEADROOM = 96; // CSS pixels above the answer: its heading and its first words
  const HANDS_ON = ["wheel", "pointerdown", "keydown"];

  if (config.tab !== null) {
    const tabs = [...document.querySelectorAll('[role="tab"]')];
    const tab = tabs.find((one) => one.textContent.trim() === config.tab);
    const isOpen = tab?.getAttribute("aria-selected") === "true";
    // viser opens its tabs by a press that might become a drag, or by this key.
    if (!isOpen) tab?.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
  }
  if (config.answer === null) return;

  window.__vmemReveal?.();
  const place = `[data-vmem-answer="${CSS.escape(config.answer)}"]`;
  let until = performance.now() + APPEARS_WITHIN;
  let appeared = false;
  let frame = requestAnimationFrame(look);
  for (const kind of HANDS_ON) window.addEventListener(kind, stop, true);
  window.__vmemReveal = stop;

  function look() {
    const element = document.querySelector(place);
    if (element && !appeared) {
      appeared = true;
      until = performance.now() + SETTLES_WITHIN;
    }
    if (element) {
      element.style.scrollMarginTop = `${HEADROOM}px`;
      element.scrollIntoView({ block: "nearest" });
    }
    if (performance.now() < until) frame = requestAnimationFrame(look);
    else stop();
  }

  function stop() {
    cancelAnimationFrame(frame);
    for (const kind of HANDS_ON) window.removeEventListener(kind, stop, true);
  }
}
