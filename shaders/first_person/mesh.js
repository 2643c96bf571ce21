// A view as it comes over the wire, to arrays for the GPU. viewer/first_person/view_file.py writes it:
//   u32 length of the header, header (JSON), then the parts in the order of header.parts ([name, bytes])
// picture: JPEG; used, inverse, bent: deflated.

const JUMP = 0.1; // relative difference of inverse depth along a side that crosses a silhouette
const STEPS = [1, 2]; // of the grid, between the points of the fine and of the coarse triangles
// Pixels at a silhouette are mixed of both sides. So colours are taken from beyond it by these shares of
// a side of a fine triangle: more of the far surface, since the near one may be thin.
const OUTSIDE = 1;
const INSIDE = 0.3;
const VERTEX = 6; // numbers of a vertex

async function readViewFile(buffer) {
  const { header, parts } = viewParts(buffer);
  const [picture, used, inverse, bent] = await Promise.all([
    createImageBitmap(new Blob([parts.picture], { type: "image/jpeg" })),
    inflate(parts.used),
    inflate(parts.inverse),
    inflate(parts.bent),
  ]);
  return { ...header, picture, mesh: depthMesh(header.side, used, inverse, bent, header.nearest) };
}

// The header and, by name, the bytes of each part.
function viewParts(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const parts = {};
  let at = 4 + length;
  for (const [name, bytes] of header.parts) {
    parts[name] = new Uint8Array(buffer, at, bytes);
    at += bytes;
  }
  return { header, parts };
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Vertices of a side x side grid (column, row, inverse depth, cut, and the column and row of its colour),
// and triangles for each of STEPS: {corners, solid, sheet}: the first `solid` corners are surfaces, the
// `sheet` after them fill gaps.
// The used points alone tell the triangles: see viewer/first_person/depth_mesh.py.
function depthMesh(side, used, inverse, bent, nearest) {
  const bit = (bits, i) => (bits[i >> 3] >> (7 - (i & 7))) & 1;
  const index = new Int32Array(side * side).fill(-1);
  const steps = new DataView(inverse.buffer, inverse.byteOffset, inverse.byteLength);
  const points = [];
  const bends = [];
  let level = 0;
  for (let i = 0; i < index.length; i++) {
    if (!bit(used, i)) continue;
    const k = (index[i] = bends.length);
    level = (level + steps.getUint16(2 * k, true)) & 0xffff; // differences, modulo 2^16
    const w = (Math.max(level, 1) / 65535) * nearest;
    const [column, row] = [(i % side) / (side - 1), Math.floor(i / side) / (side - 1)];
    points.push(column, row, w, 0, column, row);
    bends.push(bit(bent, k));
  }
  const details = STEPS.map((step) => torn(triangles(side, index, step), points, bends, 1 / step));
  return { vertices: Float32Array.from(points), details };
}

// Right triangles (ends of the longest side, then the right angle), split at the middle of their
// longest side where that point is used and the halves are not shorter than `step`.
function triangles(side, index, step = 1) {
  const last = side - 1;
  const found = [];
  const todo = [0, 0, last, last, 0, last, last, last, 0, 0, last, 0]; // (column, row) of a, b, c
  while (todo.length) {
    const [ax, ay, bx, by, cx, cy] = todo.splice(-6);
    const mx = (ax + bx) >> 1;
    const my = (ay + by) >> 1;
    const middle = my * side + mx;
    if (Math.max(Math.abs(ax - bx), Math.abs(ay - by)) > step && index[middle] >= 0) {
      todo.push(cx, cy, ax, ay, mx, my, bx, by, cx, cy, mx, my);
    } else {
      found.push(index[ay * side + ax], index[by * side + bx], index[cy * side + cx]);
    }
  }
  return found;
}

// Triangles that cross a silhouette, torn in two: the near surface goes on level to the middle, and
// so does the far one; `cut`, from 0 to 1, is above 0.5 beyond. From the view's own place the two
// halves make the whole. From elsewhere a sheet fills the gap with the far side's colour. Where exactly
// the silhouette runs is not known: so, seen from elsewhere, each half has the colour of its own side.
function torn(corners, points, bends, reach) {
  const [solid, sheets] = [[], []];
  const inverse = (i) => points[VERTEX * i + 2];
  // A vertex at i with the colour of the side of `own`, some way beyond it as seen from `other`.
  const copy = (i, w, cut, own, other, beyond) => {
    const place = (k) => points.slice(VERTEX * k, VERTEX * k + 2);
    const away = place(other);
    points.push(...place(i), w, cut, ...place(own).map((x, k) => x + reach * beyond * (x - away[k])));
    return points.length / VERTEX - 1;
  };
  const crosses = (i, j) => {
    const [a, b] = [inverse(i), inverse(j)];
    return (bends[i] || bends[j]) && Math.abs(a - b) > JUMP * Math.min(a, b);
  };
  for (let k = 0; k < corners.length; k += 3) {
    const three = corners.slice(k, k + 3);
    const [a, b, c] = three;
    if (!crosses(a, b) && !crosses(b, c) && !crosses(c, a)) {
      solid.push(a, b, c);
      continue;
    }
    const [far, middle, near] = [...three].sort((i, j) => inverse(i) - inverse(j));
    // Two are on the side that the middle one is nearer to, by ratio.
    const twoNear = inverse(middle) ** 2 > inverse(far) * inverse(near);
    const [front, back] = twoNear ? [[middle, near], [far]] : [[near], [far, middle]];
    const level = (side) => side.reduce((sum, i) => sum + inverse(i), 0) / side.length;
    const isNear = (i) => front.includes(i);
    const inFront = (i) => (isNear(i) ? i : copy(i, level(front), 1, front[0], i, INSIDE));
    const behind = (i, w, cut) => copy(i, w, cut, isNear(i) ? back[0] : i, front[0], OUTSIDE);
    solid.push(...three.map(inFront));
    solid.push(...three.map((i) => behind(i, isNear(i) ? level(back) : inverse(i), isNear(i) ? 1 : 0)));
    sheets.push(...three.map((i) => behind(i, inverse(i), 0)));
  }
  return { corners: Uint32Array.from([...solid, ...sheets]), solid: solid.length, sheet: sheets.length };
}
