// The walker's picture over viser's page: fetches views, draws, moves, and tells Python the pose.
// Python calls window.__vmemFirstPerson[op](config):
//   show     {layout: "picture", "both" or "memory"}
//   mode     {walks: whether held keys move the walker, solid: whether walls stop him}
//   views    {add: [[id, address, position, ahead]], remove: [ids], clear: bool}
//   opening  {address or null}: a view that is shown until the first of `views` is there
//   opened   {c2w by columns}: where the opening's camera was in truth; its address is gone
//   backdrop {address or null, centre, radius}
//   solids   {points: base64 of f32, clear: bool}
//   pose     {number, position, yaw, pitch, seconds}
//   controls {moves, pad, touch}, as Input takes them
//   tell     {text}: said over the picture, for a while
//   screenshot, record, keepClip  {}: capture.js
//   dispose  {}
// It says as JSON to the hidden element config.channel:
//   ["pose", sequence, number, x, y, z, yaw, pitch, moving]  at most REPORTS_A_SECOND times a second
//   ["ask", sequence, name, argument]   a command by name, or something that was clicked
//   ["size", sequence, width, height, touch]

const REPORTS_A_SECOND = 15;
const OPENING = "opening"; // id of the flat photo
const FETCHES = 3; // views on their way at once
const MOST_VIEWS = 6; // drawn at once
const FEW_VIEWS = 3; // on a page that cannot keep up
const KEPT_VIEWS = 64; // on the GPU; others are fetched again when the walker comes back
const FOV = 0.94; // vertical, radians: that of the frames
const LOOKED_MS = 300; // after which a look is over
const AGAIN_MS = 2000; // after which a view that did not come is asked for again
const CHOOSE_MS = 150; // between choices of what is fetched next, while he moves
const MAP_MS = [0, 200, 500]; // between moves of the map: on a quick page, a slow one, one that cannot keep up
const KNOWN_MS = 500; // between looks at how much of the picture is known
const SOFTWARE = "this browser draws without a GPU: less sharp while you walk";
const BLOCKED = "a surface is in the way: turn, or Home goes back · Alt passes";
const BLOCKED_MS = 400; // of wishing to walk without getting anywhere
const UNKNOWN = "little is known here: views are forming · Alt passes";
const LONGEST = 0.2; // seconds that a frame counts at most: a stall must not throw him across the room
const STANDING = { ahead: 0, right: 0, up: 0, turn: 0, tilt: 0 };

class FirstPerson {
  constructor({ channel, sources, cell, narrow, hints, css }) {
    this.channel = channel;
    this.stage = new Stage(narrow, () => this.resized());
    this.canvas = this.stage.canvas;
    this.picture = new Picture(this.canvas, sources);
    const changed = () => (this.dirty = true);
    this.heat = this.picture.heat = new Heat(this.picture.gl, changed);
    const addressOf = (id) => this.listed.get(id)?.address;
    this.overlay = new Overlay(this.stage.element, css, addressOf, changed);
    this.known = new Known(this.picture.gl, sources);
    this.status = new Status(this.stage.element);
    if (isSoftware(this.picture.gl)) this.status.say(SOFTWARE, performance.now());
    this.walker = new Walker();
    this.capture = new Capture(this.stage.free, (full) => this.seen(full));
    this.hints = new Hints(this.stage.element, hints);
    this.cell = cell;
    this.solids_ = new Solids(cell);
    this.listed = new Map(); // id -> {id, address, from, ahead}, of all views
    this.coming = new Set();
    this.late = new Set(); // those that did not come, for a while
    this.single = {}; // name -> address of the latest
    this.resolution = new Resolution();
    this.input = new Input(this.canvas);
    this.reported = this.looked = this.sent = this.chose = this.freeAt = this.lookedAtKnown = this.followed = 0;
    this.drawnAt = this.slowest = 0; // of the frames since one was drawn, the slowest in ms
    this.appearsUntil = 0; // when the backdrop is wholly there
    this.speed = this.input.speed;
    this.walks = this.solid = true;
    this.dirty = this.fresh = true; // draw again; at once, for a view that has come
    this.last = performance.now();
    this.input.onCommand = (name) => window.__vmemKeyboard?.command(name);
    this.stop = new AbortController();
    const { signal } = this.stop;
    window.addEventListener("resize", () => (this.dirty = true), { signal });
    this.alive = true;
    requestAnimationFrame((now) => this.frame(now));
  }

  dispose() {
    this.alive = false;
    this.stop.abort();
    this.input.dispose();
    this.capture.dispose();
    this.overlay.dispose();
    this.stage.dispose();
  }

  // Whether a key pressed with ctrl or alt is the walker's.
  takes(event) {
    return this.isSeen && this.walks && this.input.takes(event);
  }

  // --- what Python says ----------------------------------------------------------------------

  show({ layout }) {
    this.stage.show(layout);
    this.input.show(this.isSeen);
    this.dirty = true;
  }

  mode({ walks, solid }) {
    [this.walks, this.solid] = [walks, solid];
  }

  get isSeen() {
    return this.stage.shown !== "memory";
  }

  resized() {
    this.dirty = true;
    this.say("size", ...this.stage.size, matchMedia("(pointer: coarse)").matches);
  }

  views({ add, remove, clear }) {
    if (clear) remove = [...this.listed.keys()];
    for (const id of remove ?? []) {
      this.picture.remove(id);
      this.listed.delete(id);
    }
    for (const [id, address, from, ahead] of add ?? []) {
      this.listed.set(id, { id, address, from, ahead });
    }
    this.dirty = true;
    this.fetchNext();
  }

  async opening({ address }) {
    this.picture.remove(OPENING);
    this.dirty = true;
    const view = await this.fetched("opening", address, (blob) => blob.arrayBuffer().then(readViewFile));
    if (view) this.picture.add({ ...view, id: OPENING });
    this.dirty = true;
  }

  opened({ c2w }) {
    this.single.opening = null;
    this.picture.place(OPENING, c2w);
    this.dirty = true;
  }

  async backdrop({ address, ...place }) {
    if (!address) this.picture.backdrop.clear();
    const panorama = await this.fetched("backdrop", address, createImageBitmap);
    const now = performance.now();
    if (panorama) this.picture.backdrop.set(panorama, place, now);
    this.appearsUntil = now + APPEAR_MS;
    this.dirty = true;
  }

  // What `read` makes of the single file of that name; null for none, where it fails, and where
  // Python has meanwhile named another.
  async fetched(name, address, read) {
    this.single[name] = address;
    const wanted = () => this.alive && this.single[name] === address;
    try {
      const answer = address && (await fetch(address));
      if (answer && !answer.ok) throw new Error(`${address}: ${answer.status}`);
      const made = answer && (await read(await answer.blob()));
      return wanted() ? made : null;
    } catch (error) {
      if (wanted()) console.error(`the ${name} did not come`, error);
      return null;
    }
  }

  solids({ points, clear }) {
    if (clear) this.solids_ = new Solids(this.cell);
    const bytes = Uint8Array.from(atob(points), (c) => c.charCodeAt(0));
    this.solids_.add(new Float32Array(bytes.buffer));
  }

  pose({ number, seconds, ...pose }) {
    this.walker.number = number;
    this.walker.place(pose, seconds, performance.now());
    if (!seconds) this.pose_ = [...pose.position, this.walker.yaw, this.walker.pitch].join();
    this.dirty = true;
  }

  controls({ moves, pad, touch }) {
    this.input.configure({ moves, pad, touch });
  }

  tell({ text }) {
    this.status.say(text, performance.now());
  }

  screenshot() {
    this.capture.screenshot();
  }

  record() {
    this.capture.record();
  }

  keepClip() {
    this.capture.keep();
  }

  // The canvases that are seen, with their present picture; with `full`, in full resolution.
  seen(full) {
    if (this.isSeen) this.draw(performance.now(), full ? 1 : this.resolution.scale);
    this.dirty ||= full;
    return this.canvases();
  }

  // The walker's picture, then the scene of the memory, as far as they are seen.
  canvases() {
    const scene = this.stage.shown === "picture" ? null : window.__viserMutable?.canvas;
    return [this.isSeen ? this.canvas : null, scene].filter(Boolean);
  }

  // --- views ----------------------------------------------------------------------------------

  // The views that suit the walker best come first, and stay.
  async fetchNext() {
    const { picture, listed } = this;
    this.chose = performance.now();
    const near = nearest(listed.values(), this.walker.eye, KEPT_VIEWS);
    const best = [...picture.suiting(this.walker.eye, FOV, MOST_VIEWS, near), ...near];
    const wanted = best.find(({ id }) => !picture.views.has(id) && !this.coming.has(id) && !this.late.has(id));
    if (!wanted || this.coming.size >= FETCHES) return;
    this.coming.add(wanted.id);
    try {
      const answer = await fetch(wanted.address);
      if (!answer.ok) throw new Error(`${wanted.address}: ${answer.status}`);
      const view = await readViewFile(await answer.arrayBuffer());
      if (listed.get(wanted.id) !== wanted) return; // undone meanwhile
      const now = performance.now();
      // In place of the flat photo it comes at once: it looks the same from there.
      picture.add({ ...view, id: wanted.id });
      picture.remove(OPENING);
      this.dirty = this.fresh = true;
      const kept = new Set(best.map(({ id }) => id));
      for (const id of picture.views.keys()) if (!kept.has(id) && id !== wanted.id) picture.remove(id);
    } catch (error) {
      if (listed.get(wanted.id) !== wanted) return; // undone meanwhile
      console.error("a view did not come", error);
      this.late.add(wanted.id);
      setTimeout(() => this.late.delete(wanted.id) && this.alive && this.fetchNext(), AGAIN_MS);
    } finally {
      this.coming.delete(wanted.id);
      this.fetchNext();
    }
  }

  // --- each frame -----------------------------------------------------------------------------

  frame(now) {
    if (!this.alive) return;
    requestAnimationFrame((next) => this.frame(next));
    const dt = (this.dt = Math.min(LONGEST, (now - this.last) / 1000));
    this.last = now;
    const look = this.input.takeLook();
    if (look[0] || look[1]) {
      this.walker.look(...look);
      this.looked = now;
    }
    const wish = this.input.wish();
    if (!this.walks) for (const axis of Object.keys(STANDING)) wish[axis] = 0;
    const stopped = this.solid && !wish.through;
    if (stopped) wish.pace *= this.caution(wish, now);
    if (this.input.speed !== this.speed) this.status.say(`speed × ${this.input.speed.toFixed(1)}`, now);
    this.speed = this.input.speed;
    this.status.settle(now);
    this.overlay.settle(now, this.resolution.isLeast);
    this.known.settle();
    const before = this.walker.position;
    const asked = this.walker.advance(dt, wish, stopped ? this.solids_ : null, now);
    const { position, yaw, pitch } = this.walker;
    const pose = [...position, yaw, pitch].join();
    const moved = pose !== this.pose_;
    this.tellWhatStops(now, wish, before);
    this.pose_ = pose;
    this.dirty ||= moved;
    this.slowest = Math.max(this.slowest, 1000 * dt);
    if (!moved && this.resolution.rested(1000 * dt)) this.dirty = true;
    const filming = this.capture.wants(now);
    const holds = !this.fresh && this.resolution.holds(now - this.drawnAt);
    if (this.isSeen && (filming || (!holds && (this.dirty || this.fades(now))))) {
      if (moved) this.resolution.moved(this.slowest);
      this.draw(now);
      [this.drawnAt, this.slowest] = [now, 0];
    }
    if (filming) this.capture.frame(now, this.canvases());
    if (this.isSeen && (look[0] || look[1] || wish.ahead || wish.right)) this.hints.moved();
    const moving = (asked || moved || now - this.looked < LOOKED_MS) && !this.walker.glide;
    if (moving || this.moving) this.report(now, moving);
    if ((moved || this.moving) && now - this.chose > CHOOSE_MS) this.fetchNext();
    this.moving = moving;
  }

  // Factor of his speed: he slows down, and is told why, where little is known ahead.
  caution({ ahead, right, up }, now) {
    if (!this.isSeen || (!ahead && !right && !up)) return 1;
    const [cy, sy] = [Math.cos(this.walker.yaw), Math.sin(this.walker.yaw)];
    const heading = [sy * ahead + cy * right, -up, cy * ahead - sy * right];
    const places = [...this.picture.views.values()].map((view) => view.from);
    const pace = Known.pace(this.known.share, this.walker.position, heading, places);
    if (pace < 0.5) this.status.say(UNKNOWN, now);
    return pace;
  }

  // Whether the picture changes although nothing moves.
  fades(now) {
    return this.picture.fading || now < this.appearsUntil;
  }

  // Say why he gets nowhere, and what is missing where he turns.
  tellWhatStops(now, { ahead, right, up, pace, through }, before) {
    if (!this.isSeen) return;
    const wishes = this.solid && !through && pace > 0.1 && (ahead || right || up);
    const way = Math.hypot(...this.walker.position.map((x, i) => x - before[i]));
    if (!wishes || way > 0.1 * this.walker.speed * pace * this.dt) this.freeAt = now;
    if (now - this.freeAt > BLOCKED_MS) this.status.say(BLOCKED, now);
    if (this.walks && now - this.looked < LOOKED_MS && this.known.share < Known.LITTLE) {
      this.status.say(UNKNOWN, now);
    }
  }

  draw(now, scale = this.resolution.scale) {
    const ratio = Math.min(devicePixelRatio, 2) * scale;
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight) return;
    this.picture.resize(Math.round(clientWidth * ratio), Math.round(clientHeight * ratio));
    this.picture.hurried = this.resolution.isLeast;
    const most = this.resolution.isLeast ? FEW_VIEWS : MOST_VIEWS;
    this.drawn = this.picture.draw(this.walker.eye, FOV, most, now);
    this.follow(now, clientWidth / clientHeight);
    this.dirty = this.fresh = false;
    if (now - this.lookedAtKnown < KNOWN_MS) return;
    this.lookedAtKnown = now;
    this.known.ask(this.picture.target.sums);
  }

  // On a slow page the map follows less often: what moves over the picture is put together anew.
  follow(now, aspect) {
    const { isLeast, scale } = this.resolution;
    if (now - this.followed < MAP_MS[isLeast ? 2 : Number(scale < 1)]) return;
    this.followed = now;
    this.overlay.follow(this.walker.eye, 2 * Math.atan(Math.tan(FOV / 2) * aspect));
  }

  report(now, moving) {
    if (moving && this.moving && now - this.reported < 1000 / REPORTS_A_SECOND) return;
    this.reported = now;
    const { number, position, yaw, pitch } = this.walker;
    this.say("pose", number, ...position, yaw, pitch, moving);
  }

  // Each message differs from the last, or viser would not pass it on.
  say(kind, ...what) {
    window.__viserMutable?.sendMessage({
      type: "GuiUpdateMessage",
      uuid: this.channel,
      updates: { value: JSON.stringify([kind, ++this.sent, ...what]) },
    });
  }
}
