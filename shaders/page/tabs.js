// Tells Python which tab of the panel is open. A function expression; Python calls it with `config`:
//   channel  id of the hidden text element through which it talks
//   listen   false: stop
//
// A message is a JSON list: the label of the open tab, "" where the page shows none.
// Leans on viser 1.1.1: window.__viserMutable.sendMessage, and tabs by their ARIA roles.
(config) => {
  window.__vmemTabs?.();
  delete window.__vmemTabs;
  if (!config.listen) return;

  let told = null;
  function tell() {
    const tab = document.querySelector('[role="tab"][aria-selected="true"]');
    const open = tab?.textContent.trim() ?? "";
    const send = window.__viserMutable?.sendMessage;
    if (open === told || !send) return;
    told = open;
    const updates = { value: JSON.stringify([open]) };
    send({ type: "GuiUpdateMessage", uuid: config.channel, updates });
  }

  const observer = new MutationObserver(tell);
  const attributes = { subtree: true, attributes: true, attributeFilter: ["aria-selected"] };
  observer.observe(document.body, attributes);
  const timer = setInterval(tell, 250); // tabs that come or go as a whole
  window.__vmemTabs = () => {
    observer.disconnect();
    clearInterval(timer);
  };
  tell();
}
