// Which walk this tab shows: a key of its own, chosen before viser runs. Runs in the page's head.
//
// A tab keeps its key in sessionStorage, so a reload finds its walk and two tabs never share one. A
// new tab takes the key that this browser used last, unless another tab holds it: so a browser that
// was closed finds its last walk. A duplicated tab starts with a copy of sessionStorage: unless the
// page before it here was left, the key is asked for over a BroadcastChannel, and given up if another
// tab answers. The result is window.__vmemTab, which identity.js sends to Python.
{
  const HERE = "vmem-walk"; // sessionStorage: this tab's key
  const LEFT = "vmem-left"; // sessionStorage: the page before this one was left, not copied
  const LAST = "vmem-last-walk"; // localStorage: the key that was looked at last
  const PATIENCE = 1000; // milliseconds in which another tab answers
  const KEY = /^[0-9a-f]{24}$/;

  function random() {
    const bytes = crypto.getRandomValues(new Uint8Array(12));
    return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  // A browser may forbid storage, or have none to give: then keys last as long as the page.
  function stored(kind) {
    const attempt = (call) => {
      try {
        return call(window[kind]);
      } catch {
        return null;
      }
    };
    return {
      get: (name) => attempt((storage) => storage.getItem(name)),
      set: (name, value) => attempt((storage) => storage.setItem(name, value)),
      remove: (name) => attempt((storage) => storage.removeItem(name)),
    };
  }

  const session = stored("sessionStorage");
  const local = stored("localStorage");
  const tab = { key: null, page: random(), elsewhere: false, ready: null };
  window.__vmemTab = tab;

  let asked = null; // the key that is being asked for, and who hears of it
  const others = "BroadcastChannel" in window ? new BroadcastChannel("vmem-walks") : null;
  if (others) {
    others.onmessage = ({ data }) => {
      if (data.page === tab.page) return;
      if (data.holds) {
        if (data.to === tab.page && asked?.key === data.holds) asked.held(true);
        return;
      }
      // Of two tabs that ask for the same key at once, one gets it, even if only one heard the other.
      const rival = asked?.key === data.asks;
      if (rival && tab.page > data.page) asked.held(true);
      if ((rival && tab.page < data.page) || (data.asks === tab.key && !tab.elsewhere)) {
        others.postMessage({ holds: data.asks, page: tab.page, to: data.page });
      }
    };
  }

  function isHeld(key) {
    if (!others) return Promise.resolve(false);
    return new Promise((held) => {
      asked = { key, held };
      others.postMessage({ asks: key, page: tab.page });
      setTimeout(() => held(false), PATIENCE);
    }).finally(() => (asked = null));
  }

  async function chosen() {
    const mine = session.get(HERE);
    const wasLeft = session.get(LEFT) !== null;
    session.remove(LEFT);
    if (KEY.test(mine ?? "")) {
      return wasLeft || !(await isHeld(mine)) ? mine : random();
    }
    const last = local.get(LAST);
    return KEY.test(last ?? "") && !(await isHeld(last)) ? last : random();
  }

  function used() {
    if (tab.key && !tab.elsewhere) local.set(LAST, tab.key);
  }

  tab.ready = chosen().then((key) => {
    tab.key = key;
    session.set(HERE, key);
    used();
    return key;
  });
  window.addEventListener("focus", used);
  window.addEventListener("pagehide", () => session.set(LEFT, "1"));
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) session.remove(LEFT);
  });
}
