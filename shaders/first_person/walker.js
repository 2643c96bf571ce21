// The walker's place and look, moved at display rate by what is held; no message is waited for.
// Axes as everywhere: x right, y down, z ahead at yaw 0. Yaw turns right, pitch looks down.

const REST_TIME = 0.12; // seconds in which velocity nears what is asked by 1 - 1/e
const MOST_PITCH = 1.4;

class Walker {
  constructor() {
    this.position = [0, 0, 0];
    this.yaw = 0;
    this.pitch = 0;
    this.velocity = [0, 0, 0];
    this.speed = 0.55; // scene units a second
    this.clearance = 0.15; // scene units kept from what is solid
    this.number = 0; // of the last pose that Python set
    this.glide = null;
  }

  get eye() {
    const [cy, sy] = [Math.cos(this.yaw), Math.sin(this.yaw)];
    const [cp, sp] = [Math.cos(this.pitch), Math.sin(this.pitch)];
    return {
      position: this.position,
      right: [cy, 0, -sy],
      down: [-sy * sp, cp, -cy * sp],
      ahead: [sy * cp, sp, cy * cp],
    };
  }

  look(right, down) {
    this.glide = null;
    this.yaw = turned(this.yaw + right);
    this.pitch = Math.max(-MOST_PITCH, Math.min(MOST_PITCH, this.pitch + down));
  }

  // Go to a pose, at once or over `seconds`.
  place({ position, yaw, pitch }, seconds, now) {
    this.velocity = [0, 0, 0];
    if (!seconds) {
      Object.assign(this, { position: [...position], yaw, pitch, glide: null });
      return;
    }
    const from = { position: this.position, yaw: this.yaw, pitch: this.pitch };
    this.glide = { from, to: { position, yaw, pitch }, begun: now, seconds };
  }

  // wish: {ahead, right, up, turn, tilt} in [-1, 1] and a factor `pace`. solids: null or Solids.
  // Returns whether anything has changed.
  advance(dt, wish, solids, now) {
    const asked = wish.ahead || wish.right || wish.up || wish.turn || wish.tilt;
    if (asked) this.glide = null;
    if (this.glide) return this.slideOn(now);
    if (wish.turn || wish.tilt) this.look(wish.turn * dt * 1.4, wish.tilt * dt);
    const [cy, sy] = [Math.cos(this.yaw), Math.sin(this.yaw)];
    // Level, wherever he looks; two keys at once are no faster than one.
    const size = Math.max(1, Math.hypot(wish.ahead, wish.right, wish.up));
    const speed = (this.speed * wish.pace) / size;
    const wanted = [
      (sy * wish.ahead + cy * wish.right) * speed,
      -wish.up * speed,
      (cy * wish.ahead - sy * wish.right) * speed,
    ];
    const share = 1 - Math.exp(-dt / REST_TIME);
    this.velocity = this.velocity.map((v, i) => v + (wanted[i] - v) * share);
    if (Math.hypot(...this.velocity) < 1e-3 * this.speed) {
      this.velocity = [0, 0, 0];
      return Boolean(asked);
    }
    const before = this.position;
    const move = this.velocity.map((v) => v * dt);
    this.position = solids ? solids.slide(before, move, this.clearance) : add(before, move);
    return true;
  }

  slideOn(now) {
    const { from, to, begun, seconds } = this.glide;
    const t = Math.min(1, (now - begun) / (1000 * seconds));
    const s = t * t * (3 - 2 * t);
    this.position = from.position.map((x, i) => x + (to.position[i] - x) * s);
    this.yaw = turned(from.yaw + turned(to.yaw - from.yaw) * s);
    this.pitch = from.pitch + (to.pitch - from.pitch) * s;
    if (t === 1) this.glide = null;
    return true;
  }
}

// What the walker must keep clear of: points of a grid of cells.
class Solids {
  constructor(cell) {
    this.cell = cell;
    this.cells = new Map();
  }

  // points: Float32Array (x, y, z, x, y, z, ...).
  add(points) {
    for (let i = 0; i < points.length; i += 3) {
      const point = [points[i], points[i + 1], points[i + 2]];
      const key = this.key(...point.map((x) => Math.floor(x / this.cell)));
      if (!this.cells.has(key)) this.cells.set(key, []);
      this.cells.get(key).push(point);
    }
  }

  key(i, j, k) {
    return ((i & 0x1ffff) * 0x20000 + (j & 0x1ffff)) * 0x20000 + (k & 0x1ffff);
  }

  // The nearest point within `radius` of a place, or null: [distance, direction away from it].
  nearest(place, radius) {
    const [low, high] = [-1, 1].map((sign) =>
      place.map((x) => Math.floor((x + sign * radius) / this.cell)),
    );
    let [best, away] = [radius, null];
    for (let i = low[0]; i <= high[0]; i++) {
      for (let j = low[1]; j <= high[1]; j++) {
        for (let k = low[2]; k <= high[2]; k++) {
          for (const point of this.cells.get(this.key(i, j, k)) ?? []) {
            const from = place.map((x, axis) => x - point[axis]);
            const distance = Math.hypot(...from);
            if (distance < best) [best, away] = [distance, from];
          }
        }
      }
    }
    return away && [best, away.map((x) => x / Math.max(best, 1e-9))];
  }

  // Where a move ends that keeps its clearance and slides along what it meets. Someone who is too
  // near already may move away, never nearer.
  slide(from, move, clearance) {
    // In pieces that cannot jump over a wall.
    const pieces = Math.max(1, Math.ceil(Math.hypot(...move) / (clearance / 2)));
    const piece = move.map((x) => x / pieces);
    let at = from;
    for (let i = 0; i < pieces; i++) at = this.slidePiece(at, piece, clearance);
    return at;
  }

  slidePiece(from, move, clearance) {
    const before = this.nearest(from, clearance);
    let at = add(from, move);
    let met = this.nearest(at, clearance);
    for (let i = 0; met && i < 4; i++) {
      const out = clearance - met[0] + 1e-4;
      at = at.map((x, axis) => x + out * met[1][axis]);
      met = this.nearest(at, clearance);
    }
    return !met || (before && met[0] >= before[0]) ? at : from;
  }
}

const add = (a, b) => a.map((x, i) => x + b[i]);
const turned = (angle) => Math.atan2(Math.sin(angle), Math.cos(angle));
