// Which views are drawn: those that suit the pose and differ. No DOM, no WebGL.
//
// A view is {from, ahead}: its camera's place and look (unit), level. A few points before the walker,
// over his whole window and at several distances, stand for what he sees; each view suits each of them
// more or less, and the next view is the one that adds most to the best so far. So of views that are
// nearly alike one is drawn, and views that look aside fill the sides of a wide window.

const COLUMNS = 9; // of points over the window
const ROWS = 5;
const DISTANCES = [0.5, 1.2, 4]; // scene units: the start's median depth is 1
const HALF = 0.51; // tangent of half of a frame's angle
const KEEP = 1.3; // a view that is drawn already counts for more, or the set would flicker
const WORTH = 0.004; // of a point's share, below which another view adds nothing

// {position, right, down, ahead}, vertical angle (radians), width over height. Places (x, y, z, ...).
function pointsInSight({ position, right, down, ahead }, fov, aspect) {
  const points = [];
  const tall = Math.tan(fov / 2);
  for (const distance of DISTANCES) {
    for (let i = 0; i < COLUMNS; i++) {
      for (let j = 0; j < ROWS; j++) {
        const x = (((2 * i + 1) / COLUMNS) - 1) * tall * aspect * distance;
        const y = (((2 * j + 1) / ROWS) - 1) * tall * distance;
        points.push(position.map((p, k) => p + x * right[k] + y * down[k] + distance * ahead[k]));
      }
    }
  }
  return points;
}

// How well a view suits each point, 0 to 1: as warp.vert.glsl has it, and 0 outside of its frame.
function suitability({ from, ahead }, eye, points) {
  const level = Math.hypot(ahead[0], ahead[2]) || 1;
  const right = [ahead[2] / level, 0, -ahead[0] / level];
  return points.map((point) => {
    const own = point.map((x, k) => x - from[k]);
    const depth = dot(own, ahead);
    const x = dot(own, right);
    const squares = dot(own, own);
    const y = Math.sqrt(Math.max(0, squares - depth * depth - x * x));
    const edge = 1 - Math.max(Math.abs(x), y) / (HALF * depth);
    if (depth <= 0 || edge <= 0) return 0;
    const seen = point.map((p, k) => p - eye[k]);
    const near = dot(seen, seen);
    // Squared sine of the angle between both looks, and 1 beyond a right angle.
    const side = Math.max(0, 1 - Math.max(0, dot(own, seen)) ** 2 / (near * squares));
    const fine = Math.min(1, Math.max(0.02, near / squares));
    const away = eye.map((x, k) => x - from[k]);
    const apart = dot(away, away) / near;
    return (Math.min(1, 8 * edge) * fine) / (1 + 400 * side * side + 20 * side + 100 * apart);
  });
}

// At most `most` of some views, the one that adds most first. kept: ids of those drawn already.
function suitable(views, eye, fov, aspect, most, kept = new Set()) {
  const points = pointsInSight(eye, fov, aspect);
  const left = new Map([...views].map((view) => [view, suitability(view, eye.position, points)]));
  const best = new Array(points.length).fill(0);
  const found = [];
  while (found.length < most && left.size) {
    let [most_, next] = [WORTH * points.length, null];
    for (const [view, suits] of left) {
      const more = suits.reduce((sum, s, i) => sum + Math.max(0, s - best[i]), 0);
      const counts = more * (kept.has(view.id) ? KEEP : 1);
      if (counts > most_) [most_, next] = [counts, view];
    }
    // Where nothing suits at all, what is nearest is still better than nothing.
    if (!next) return found.length ? found : nearest(left.keys(), eye, 1);
    left.get(next).forEach((s, i) => (best[i] = Math.max(best[i], s)));
    left.delete(next);
    found.push(next);
  }
  return found;
}

// The `most` views that are near to the walker and look his way, the best first.
function nearest(views, eye, most) {
  const score = ({ from, ahead }) =>
    2 * Math.hypot(...from.map((x, i) => x - eye.position[i])) +
    Math.acos(Math.max(-1, Math.min(1, dot(ahead, eye.ahead))));
  const scored = [...views].map((view) => [score(view), view]);
  scored.sort((a, b) => a[0] - b[0]);
  return scored.slice(0, most).map(([, view]) => view);
}

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
