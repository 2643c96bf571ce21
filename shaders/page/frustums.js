// Draws the frustums of all views as one set of lines and one mesh of pictures.
// A function expression; Python calls it with `config`, once for a set:
//   clickable  whether a frustum is lit while the pointer is over it
//   node       a viser node; NODE/lines are line segments, each end with a colour of its own, and
//              NODE/pictures is an image. What these hold is replaced; they lend their materials.
// It makes window.__vmemFrustums[node].change(news), called with
//   keep       how many of the views stay, of those that there are,
//   drop       but for these places among them
//   add        views that follow them: { pose, picture, faded }
//                pose     12 numbers, rows of the camera's axes and place in the world, and 3, the
//                         half width, half height and depth of the frustum, all in scene units
//                picture  URL of an image
//                faded    whether the image is drawn nearly transparent
//   colors     [view, [r, g, b]] pairs
//
// Leans on viser 1.1.1: window.__viserMutable (scene, camera, canvas, nodeRefFromName,
// requestRender), three-stdlib's LineSegments2, and an image being a mesh with a textured plane.
// Whatever goes wrong is said in the page's console, and no frustums are drawn.
(config) => {
  const sets = (window.__vmemFrustums ??= {});
  // A page that has lost its server and found it again, or a recording that begins anew.
  if (sets[config.node]) return sets[config.node].change({ keep: 0 });
  // Ends of the lines in half widths, half heights and depths: picture, edges, and a tick upward.
  const [A, B, C, D, EYE] = [[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1], [0, 0, 0]];
  const LINES = [A, B, B, C, C, D, D, A, A, EYE, B, EYE, C, EYE, D, EYE, [0, -1.2, 1], [0, -1, 1]];
  const ENDS = LINES.length;
  const HOVERED = [251, 255, 0]; // as viser paints a frustum that is pointed at
  const NEAR = 2; // pixels from a line that count as on it
  // A picture lies within its tile with a rim of its own border, so that the coarser levels of the
  // texture do not mix neighbours.
  const [TILE, RIM, MOST_TILES] = [64, 4, 512];
  const FADED = 0.25; // opacity of faded pictures

  const state = { views: [], hovered: null, change, colorsDrawn, error: null };
  sets[config.node] = state;
  const stale = { lines: true, colors: true, tiles: true };
  let [lines, thick, mesh, texture, BufferGeometry] = [null, null, null, null, null];
  let [lineGeometry, thickGeometry, meshGeometry] = [null, null, null];
  const canvas = document.createElement("canvas");
  const columns = () => canvas.width / TILE;

  function change({ keep, drop = [], add = [], colors = [] }) {
    const { views } = state;
    if (keep < views.length || drop.length > 0 || add.length > 0) {
      views.length = Math.min(keep, views.length);
      for (const place of [...drop].reverse()) views.splice(place, 1);
      if (drop.length > 0) state.hovered = null;
      for (const { pose, picture, faded } of add) {
        const view = { pose, faded, ends: LINES.map((end) => placed(pose, end)), color: [0, 0, 0] };
        view.image = new Image();
        view.image.onload = () => {
          view.drawn = false;
          window.__viserMutable?.requestRender();
        };
        view.drawn = true;
        view.image.src = picture;
        views.push(view);
      }
      stale.lines = stale.tiles = true;
      if (state.hovered >= views.length) state.hovered = null;
    }
    for (const [view, color] of colors) if (views[view]) views[view].color = color;
    stale.colors = true;
    window.__viserMutable?.requestRender();
  }

  function placed([a, b, c, x, d, e, f, y, g, h, i, z, ...half], end) {
    const [u, v, w] = end.map((share, axis) => share * half[axis]);
    return [a * u + b * v + c * w + x, d * u + e * v + f * w + y, g * u + h * v + i * w + z];
  }

  const linear = (value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };

  // The colours that are in the buffer now, as Python gave them: for tests.
  function colorsDrawn() {
    const data = lineGeometry?.attributes.instanceColorStart?.data.array ?? [];
    const sRGB = (x) => Math.round(255 * (x <= 0.0031308 ? 12.92 * x : 1.055 * x ** (1 / 2.4) - 0.055));
    return state.views.map((_, view) => [...data.slice(view * ENDS * 3, view * ENDS * 3 + 3)].map(sRGB));
  }

  function colorsOf(views) {
    const colors = new Float32Array(views.length * ENDS * 3);
    views.forEach(([view, color], k) => {
      const rgb = color.map(linear);
      for (let end = 0; end < ENDS; end++) colors.set(rgb, (k * ENDS + end) * 3);
    });
    return colors;
  }

  // viser builds new line geometries, too: changed in place, some are cut short.
  function linesOf(old, views) {
    const geometry = new lines.geometry.constructor();
    geometry.setPositions(new Float32Array(views.flatMap(([view]) => view.ends.flat())));
    geometry.setColors(colorsOf(views), 3);
    old?.dispose();
    return geometry;
  }

  function dressLines(found) {
    if (found !== lines) {
      [lines, thick, stale.lines] = [found, null, true];
    }
    const { views, hovered } = state;
    const painted = views.map((view, i) => [view, i === hovered ? HOVERED : view.color]);
    lines.visible = views.length > 0;
    if (stale.lines) lineGeometry = linesOf(lineGeometry, painted);
    else if (stale.colors) {
      const { data } = lineGeometry.attributes.instanceColorStart;
      data.array.set(colorsOf(painted));
      data.needsUpdate = true;
    }
    if (lines.geometry !== lineGeometry) lines.geometry = lineGeometry;
    if (stale.lines || stale.colors) dressHovered();
    stale.lines = stale.colors = false;
    thick?.material.resolution.copy(lines.material.resolution);
  }

  // The lines of the frustum pointed at, once more and thicker, as viser draws one.
  function dressHovered() {
    const view = state.views[state.hovered];
    if (!view) {
      thick?.removeFromParent();
      return;
    }
    thickGeometry = linesOf(thickGeometry, [[view, HOVERED]]);
    if (thick === null) {
      thick = new lines.constructor(thickGeometry, lines.material.clone());
      thick.material.linewidth = 1.5 * lines.material.linewidth;
      thick.raycast = () => {};
    }
    thick.geometry = thickGeometry;
    if (thick.parent !== lines.parent) lines.parent.add(thick);
  }

  function dressPictures(found) {
    const { map } = found.material;
    if (!map) return; // still being loaded
    if (found !== mesh) {
      [mesh, stale.tiles] = [found, true];
      BufferGeometry ??= Object.getPrototypeOf(mesh.geometry.constructor); // of a PlaneGeometry
      texture ??= Object.assign(new map.constructor(canvas), { flipY: false, colorSpace: "srgb" });
    }
    if (stale.tiles) layTiles();
    const arrived = state.views.filter((view) => !view.drawn);
    arrived.forEach(drawPicture);
    if (arrived.length > 0) texture.needsUpdate = true;
    mesh.visible = state.views.length > 0;
    if (mesh.geometry !== meshGeometry) mesh.geometry = meshGeometry;
    if (mesh.material.map !== texture) mesh.material.map = texture;
  }

  // Pictures that are there stay where they are, unless the texture has to grow.
  function layTiles() {
    const { views } = state;
    const tiles = Math.min(views.length, MOST_TILES);
    let [across, down] = [Math.max(4, columns() | 0), Math.max(4, (canvas.height / TILE) | 0)];
    while (across * down < tiles) [across, down] = across > down ? [across, 2 * down] : [2 * across, down];
    if (canvas.width !== across * TILE || canvas.height !== down * TILE) {
      [canvas.width, canvas.height] = [across * TILE, down * TILE];
      texture.dispose(); // its size on the GPU is fixed
      for (const view of views) view.drawn = !view.image.complete;
    }
    views.forEach((view, i) => {
      if (view.tile !== i) [view.tile, view.drawn] = [i, !view.image.complete];
    });
    const shown = views.slice(0, tiles);
    const positions = shown.flatMap(({ ends: [a, b, , c, , d] }) =>
      // viser turns the mesh of an image about x by half a turn.
      [a, b, c, d].flatMap(([x, y, z]) => [x, -y, -z]),
    );
    const corners = shown.flatMap((view, i) => {
      const [w, h] = sizeOf(view);
      const [x, y] = [(i % across) * TILE + RIM, Math.floor(i / across) * TILE + RIM];
      const [left, right, top, bottom] = [x, x + w, y, y + h].map((value, k) => value / (TILE * (k < 2 ? across : down)));
      return [left, top, right, top, right, bottom, left, bottom];
    });
    const Attribute = mesh.geometry.attributes.position.constructor;
    meshGeometry?.dispose();
    meshGeometry = new BufferGeometry();
    meshGeometry.setAttribute("position", new Attribute(positions, 3));
    meshGeometry.setAttribute("uv", new Attribute(corners, 2));
    // Faded ones last: what is drawn later behind them would be hidden, not seen through them.
    const order = [...shown.keys()].sort((i, j) => Boolean(shown[i].faded) - Boolean(shown[j].faded));
    meshGeometry.setIndex(order.flatMap((i) => [0, 1, 2, 0, 2, 3].map((k) => 4 * i + k)));
    stale.tiles = false;
  }

  // Pixels of a picture in its tile: its longer side fills it.
  function sizeOf({ pose }) {
    const [w, h] = [pose[12], pose[13]];
    const scale = (TILE - 2 * RIM) / Math.max(w, h);
    return [w * scale, h * scale];
  }

  function drawPicture(view) {
    view.drawn = true;
    if (view.tile >= MOST_TILES) return;
    const context = canvas.getContext("2d");
    const [w, h] = sizeOf(view);
    const [x, y] = [(view.tile % columns()) * TILE, Math.floor(view.tile / columns()) * TILE];
    context.imageSmoothingQuality = "high";
    context.save();
    context.beginPath();
    context.rect(x, y, TILE, TILE);
    context.clip();
    context.drawImage(view.image, x, y, w + 2 * RIM, h + 2 * RIM); // the rim
    context.drawImage(view.image, x + RIM, y + RIM, w, h);
    if (view.faded) {
      context.globalCompositeOperation = "destination-in";
      context.fillStyle = `rgba(0, 0, 0, ${FADED})`;
      context.fillRect(x, y, TILE, TILE);
    }
    context.restore();
  }

  // The view under a place of the window: its picture, or a line as near as NEAR; the nearest.
  function viewAt(x, y) {
    const { camera } = window.__viserMutable;
    const box = window.__viserMutable.canvas.getBoundingClientRect();
    const toClip = camera.projectionMatrix.clone().multiply(camera.matrixWorldInverse).multiply(lines.matrixWorld);
    const m = toClip.elements;
    const project = ([a, b, c]) => {
      const w = m[3] * a + m[7] * b + m[11] * c + m[15];
      const at = (row) => (m[row] * a + m[4 + row] * b + m[8 + row] * c + m[12 + row]) / w;
      return { x: box.left + ((at(0) + 1) / 2) * box.width, y: box.top + ((1 - at(1)) / 2) * box.height, w };
    };
    let [best, nearest] = [null, Infinity];
    state.views.forEach((view, i) => {
      const ends = view.ends.map(project);
      if (ends.some((end) => end.w <= 1e-4)) return;
      const [a, b, , c, , d] = ends;
      const distance = (a.w + c.w) / 2;
      if (distance >= nearest) return;
      if (inside([a, b, c, d], x, y) || touches(ends, x, y)) [best, nearest] = [i, distance];
    });
    return best;
  }

  function inside(corners, x, y) {
    const sides = corners.map((p, k) => {
      const q = corners[(k + 1) % corners.length];
      return Math.sign((q.x - p.x) * (y - p.y) - (q.y - p.y) * (x - p.x));
    });
    return sides.every((side) => side === sides[0]);
  }

  function touches(ends, x, y) {
    for (let k = 0; k < ENDS; k += 2) {
      const [p, q] = [ends[k], ends[k + 1]];
      const [dx, dy] = [q.x - p.x, q.y - p.y];
      const along = ((x - p.x) * dx + (y - p.y) * dy) / (dx * dx + dy * dy || 1);
      const share = Math.min(1, Math.max(0, along));
      if (Math.hypot(p.x + share * dx - x, p.y + share * dy - y) <= NEAR) return true;
    }
    return false;
  }

  function isShown(object) {
    for (let node = object; node; node = node.parent) if (!node.visible) return false;
    return object !== null;
  }

  function hover(event) {
    if (!config.clickable) return;
    const over = event.target === window.__viserMutable?.canvas && event.buttons === 0;
    const view = over && isShown(lines) ? viewAt(event.clientX, event.clientY) : null;
    if (view === state.hovered) return;
    state.hovered = view;
    stale.colors = true;
    window.__viserMutable?.requestRender();
  }

  function first(name, wanted) {
    let found = null;
    window.__viserMutable.nodeRefFromName[name]?.traverse((object) => {
      if (found === null && object !== thick && wanted(object)) found = object;
    });
    return found;
  }

  // Runs just before three.js draws, when all of this frame's messages have been applied.
  function dress() {
    const foundLines = first(`${config.node}/lines`, (object) => object.isLineSegments2);
    if (foundLines) dressLines(foundLines);
    const foundMesh = first(`${config.node}/pictures`, (object) => object.isMesh && object.material.isMeshBasicMaterial);
    if (foundMesh) dressPictures(foundMesh);
  }

  window.addEventListener("pointermove", hover, true);
  // The scene appears after the page has loaded, and anew if the canvas is mounted again.
  const hooked = new WeakSet();
  setInterval(() => {
    const scene = window.__viserMutable?.scene;
    if (!scene || hooked.has(scene)) return;
    hooked.add(scene);
    const previous = scene.onBeforeRender;
    scene.onBeforeRender = function (...given) {
      previous?.apply(this, given);
      if (state.error) return;
      try {
        dress();
      } catch (error) {
        state.error = String(error);
        console.warn("frustums are not shown:", error);
      }
    };
    window.__viserMutable.requestRender();
  }, 100);
}
