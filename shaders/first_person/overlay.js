// What lies over the picture: the legend of the heat, the views that memory would use for the
// walker's place with the frame that is forming beside them, and the map. DOM, so that it is sharp
// and can be pointed at; its marks (data-vmem) are reported by shaders/page/pointing.js.
// Python calls, as window.__vmemFirstPerson.overlay[op](config):
//   show     {on}
//   legend   {title, bar: CSS colours, low, high, text: sentences}; without a title: none
//   chosen   {views: [[id, number, share, CSS colour]], newest: [id, number], pointed}
//   forming  {picture: data URL or ""}
//   plan     see plan.js

const KEPT_THUMBNAILS = 64;
const CHOSEN_MS = 1000; // between changes of the strip on a page that cannot keep up

class Overlay {
  // addressOf(id): where the file of a view is, or undefined. changed(): draw again.
  constructor(parent, css, addressOf, changed) {
    this.addressOf = addressOf;
    this.changed = changed;
    this.thumbnails = new Map(); // id -> promise of the URL of its picture
    this.pending = null; // of `chosen`, what has yet to be shown
    this.changedAt = -Infinity;
    this.hurried = false;
    this.style = document.head.appendChild(document.createElement("style"));
    this.style.textContent = css;
    this.root = element(parent, "vmem-over");
    this.root.hidden = true;
    this.legendBox = element(this.root, "vmem-over-legend");
    this.legendBox.hidden = true;
    this.title = this.legendBox.appendChild(document.createElement("b"));
    this.bar = element(this.legendBox, "vmem-over-bar");
    this.ends = element(this.legendBox, "vmem-over-ends");
    this.text = element(this.legendBox, "vmem-over-text");
    const foot = element(this.root, "vmem-over-foot");
    this.map = new Plan(foot, changed);
    this.strip = element(foot, "vmem-over-strip");
    this.next = element(this.strip, "vmem-over-view next");
    this.next.hidden = true;
    this.next.append(document.createElement("span"));
  }

  dispose() {
    this.root.remove();
    this.style.remove();
    for (const url of this.thumbnails.values()) url.then(URL.revokeObjectURL, () => {});
  }

  // --- what Python says ----------------------------------------------------------------------

  show({ on }) {
    this.root.hidden = !on;
    this.changed();
  }

  legend({ title, bar, low, high, text }) {
    this.legendBox.hidden = !title;
    if (!title) return;
    this.title.textContent = title;
    this.bar.hidden = this.ends.hidden = !bar.length;
    this.bar.style.background = `linear-gradient(to right, ${bar.join(", ")})`;
    this.ends.replaceChildren(...[low, high].map(span));
    this.text.replaceChildren(...text.map((sentence) => {
      const line = document.createElement("div");
      line.textContent = sentence;
      return line;
    }));
  }

  chosen(config) {
    this.pending = config;
    if (!this.hurried) this.showChosen(config);
  }

  // Each frame. On a page that cannot keep up (`hurried`) the strip changes less often.
  settle(now, hurried) {
    this.hurried = hurried;
    if (!this.pending || (hurried && now - this.changedAt < CHOSEN_MS)) return;
    this.changedAt = now;
    this.showChosen(this.pending);
  }

  showChosen({ views, newest, pointed }) {
    this.pending = null;
    const { strip, next } = this;
    while (strip.children.length - 1 > views.length) next.previousSibling.remove();
    while (strip.children.length - 1 < views.length) {
      const made = document.createElement("div");
      made.className = "vmem-over-view";
      made.append(document.createElement("span"));
      next.before(made);
    }
    views.forEach(([id, number, share, color], i) => {
      const one = strip.children[i];
      one.dataset.vmem = `strip:${number}`;
      one.style.borderColor = color;
      one.classList.toggle("pointed", number === pointed);
      one.firstChild.textContent = share;
      one.title = `view ${number}: ${share} of the votes`;
      this.picture(one, id);
    });
    const [id, number] = newest;
    next.dataset.vmem = `strip:${number}`;
    next.hidden = false;
    this.newest = id;
    if (!this.isForming) this.rest();
    this.map.choose(views.map(([, view, , color]) => [view, color]));
  }

  forming({ picture }) {
    const { next } = this;
    this.isForming = Boolean(picture);
    next.classList.toggle("forming", this.isForming);
    if (!this.isForming) return this.rest();
    next.hidden = false;
    next.dataset.view = "";
    next.style.backgroundImage = `url("${picture}")`;
    next.firstChild.textContent = "forming";
  }

  plan(config) {
    this.map.show(config);
  }

  // --- parts ----------------------------------------------------------------------------------

  rest() {
    this.next.firstChild.textContent = "new";
    this.next.title = "the newest view";
    if (this.newest) this.picture(this.next, this.newest);
  }

  // Show a view's own picture, which the browser's cache has where the view has been drawn.
  async picture(box, id) {
    if (box.dataset.view === id) return;
    box.dataset.view = id;
    if (!this.thumbnails.has(id)) this.thumbnails.set(id, this.thumbnail(id));
    const url = await this.thumbnails.get(id).catch(() => null);
    if (url && box.dataset.view === id) box.style.backgroundImage = `url("${url}")`;
    this.forget();
  }

  async thumbnail(id) {
    const answer = await fetch(this.addressOf(id) ?? id);
    if (!answer.ok) throw new Error(`${id}: ${answer.status}`);
    const { parts } = viewParts(await answer.arrayBuffer());
    return URL.createObjectURL(new Blob([parts.picture], { type: "image/jpeg" }));
  }

  forget() {
    const shown = new Set([...this.strip.children].map((box) => box.dataset.view));
    for (const [id, url] of this.thumbnails) {
      if (this.thumbnails.size <= KEPT_THUMBNAILS) return;
      if (shown.has(id)) continue;
      this.thumbnails.delete(id);
      url.then(URL.revokeObjectURL, () => {});
    }
  }

  // The walker is at an eye {position, ahead, right}; fov: horizontal, radians.
  follow(eye, fov) {
    if (!this.root.hidden) this.map.draw(eye, fov);
  }
}

function element(parent, name) {
  const made = parent.appendChild(document.createElement("div"));
  made.className = name;
  return made;
}

function span(text) {
  const made = document.createElement("span");
  made.textContent = text;
  return made;
}
