// A view as it comes over the wire, to arrays for the GPU. viewer/first_person/view_file.py writes it:
//   u32 length of the header, header (JSON), then the parts in the order of header.parts ([name, bytes])
// picture: JPEG; used, inverse, bend: deflated.

async function readViewFile(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const parts = {};
  let at = 4 + length;
  for (const [name, bytes] of header.parts) {
    parts[name] = new Uint8Array(buffer, at, bytes);
    at += bytes;
  }
  const [picture, used, inverse, bend] = await Promise.all([
    createImageBitmap(new Blob([parts.picture], { type: "image/jpeg" })),
    inflate(parts.used),
    inflate(parts.inverse),
    inflate(parts.bend),
  ]);
  return { ...header, picture, mesh: depthMesh(header.side, used, inverse, bend, header.nearest) };
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Vertices (column, row, inverse depth, bend) of the used points of a side x side grid, and triangles.
// The points alone tell the triangles: see viewer/first_person/depth_mesh.py.
function depthMesh(side, used, inverse, bend, nearest) {
  const index = new Int32Array(side * side).fill(-1);
  let count = 0;
  for (let i = 0; i < index.length; i++) {
    if ((used[i >> 3] >> (7 - (i & 7))) & 1) index[i] = count++;
  }
  const steps = new DataView(inverse.buffer, inverse.byteOffset, inverse.byteLength);
  const vertices = new Float32Array(4 * count);
  let level = 0;
  for (let i = 0, k = 0; i < index.length; i++) {
    if (index[i] < 0) continue;
    level = (level + steps.getUint16(2 * k, true)) & 0xffff; // differences, modulo 2^16
    vertices[4 * k] = (i % side) / (side - 1);
    vertices[4 * k + 1] = Math.floor(i / side) / (side - 1);
    vertices[4 * k + 2] = (Math.max(level, 1) / 65535) * nearest;
    vertices[4 * k + 3] = bend[k] / 255;
    k++;
  }
  return { vertices, indices: triangles(side, index) };
}

// Right triangles (ends of the longest side, then the right angle), split at the middle of their
// longest side where that point is used.
function triangles(side, index) {
  const last = side - 1;
  const found = [];
  const todo = [0, 0, last, last, 0, last, last, last, 0, 0, last, 0]; // (column, row) of a, b, c
  while (todo.length) {
    const [ax, ay, bx, by, cx, cy] = todo.splice(-6);
    const mx = (ax + bx) >> 1;
    const my = (ay + by) >> 1;
    const middle = my * side + mx;
    if (Math.max(Math.abs(ax - bx), Math.abs(ay - by)) > 1 && index[middle] >= 0) {
      todo.push(cx, cy, ax, ay, mx, my, bx, by, cx, cy, mx, my);
    } else {
      found.push(index[ay * side + ax], index[by * side + bx], index[cy * side + cx]);
    }
  }
  return new Uint16Array(found);
}
