// Tells Python which walk this tab shows (tab_key.js). A function expression; Python calls it with
// `config`:
//   channel  id of the hidden text element through which it talks
//   listen   false: nothing is to be told any more
//
// A message is a JSON list: the tab's key, a number of this page that changes with every load, and
// whether the walk was opened elsewhere. Leans on viser 1.1.1: window.__viserMutable.sendMessage.
(config) => {
  if (!config.listen) return;
  const tab = window.__vmemTab;
  const tell = () => {
    const said = tab ? [tab.key, tab.page, tab.elsewhere] : ["", "", false];
    const updates = { value: JSON.stringify(said) };
    window.__viserMutable?.sendMessage({ type: "GuiUpdateMessage", uuid: config.channel, updates });
  };
  if (tab) tab.ready.then(tell);
  else tell();
}
