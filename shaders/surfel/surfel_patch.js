// Turns viser's stock point clouds into surfels: gives them the shaders of surfel.*.glsl.
// A function expression; Python calls it with `config`:
//   vertexShader, fragmentShader  GLSL
//   suffix                        a node NAME + suffix holds the normals and radii of node NAME;
//                                 its point_size is how many of them are drawn
//   chunkSize                     how many surfels a whole node has
//   thinFrom                      disks from which on far ones may be left out
//   slow, quick                   milliseconds a frame above which more, below which fewer are
//
// Leans on viser 1.1.1: window.__viserMutable (scene, camera, nodeRefFromName, requestRender),
// window.__viserSceneTree.getState(), and a point cloud being group > group > THREE.Points.
// Whatever goes wrong, the stock materials are put back: users then see round points.
(config) => {
  if (window.__vmemSurfels) return;
  // fullWithin: see surfel.vert.glsl; null while every disk is drawn.
  const status = (window.__vmemSurfels = {
    disks: 0,
    fullWithin: null,
    error: null,
    config,
  });
  const ALL = 1e9; // scene units: farther than anything
  const LARGEST_DOT = 3; // pixels of radius: what stays of far surfels is drawn no larger
  const materialOfCloud = new Map();
  const stockMaterial = new WeakMap();
  const boundsOf = new WeakMap();
  const meanRadius = new WeakMap();

  function pointsIn(group) {
    for (const scaled of group?.children ?? []) {
      for (const object of scaled.children) if (object.isPoints) return object;
    }
    return null;
  }

  // One material for a whole cloud, so that a recolour (for which viser makes a new stock
  // material) never compiles a shader again.
  function makeMaterial(stock, renderer) {
    const gl = renderer.getContext();
    const material = stock.clone();
    material.vertexShader = config.vertexShader;
    material.fragmentShader = config.fragmentShader;
    material.uniforms = {
      uProjection: { value: null },
      uResolution: { value: [1, 1] },
      uMaxPointSize: { value: gl.getParameter(gl.ALIASED_POINT_SIZE_RANGE)[1] },
      uSizeScale: { value: 1 },
      uShade: { value: 0 },
      uFullWithin: { value: ALL },
    };
    material.vertexColors = true;
    material.fog = false;
    // React disposes of the material of every chunk it removes; this one is shared.
    material.dispose = () => {};
    return material;
  }

  function prepareMaterial(cloud, stock, renderer, camera, target) {
    if (!materialOfCloud.has(cloud)) materialOfCloud.set(cloud, makeMaterial(stock, renderer));
    const material = materialOfCloud.get(cloud);
    const diagnostics = renderer.properties.get(material).currentProgram?.diagnostics;
    if (diagnostics && !diagnostics.runnable) throw new Error("the surfel shader does not compile");
    const size = target ?? renderer.domElement;
    material.uniforms.uProjection.value = camera.projectionMatrix;
    material.uniforms.uResolution.value = [size.width, size.height];
    return material;
  }

  function wearStock(points) {
    if (stockMaterial.has(points)) points.material = stockMaterial.get(points);
    if (points.geometry.index) points.geometry.setIndex(null);
    points.geometry.setDrawRange(0, Infinity);
    points.frustumCulled = false;
  }

  // viser draws every point cloud, wherever the camera looks; of a walk through several rooms most
  // chunks are out of sight. Bounds are found once for what a chunk holds.
  function bound(points, normalRadius, sizeScale) {
    points.frustumCulled = true;
    const { geometry } = points;
    const { position } = geometry.attributes;
    const known = boundsOf.get(points);
    const holds = [position, position.version, normalRadius, normalRadius.version, sizeScale];
    if (known?.every((value, i) => value === holds[i])) return;
    boundsOf.set(points, holds);
    let [largest, total] = [0, 0];
    for (let i = 0; i < normalRadius.count; i++) {
      const radius = normalRadius.getZ(i);
      largest = Math.max(largest, radius);
      total += radius;
    }
    meanRadius.set(points, (total / normalRadius.count) * sizeScale);
    geometry.computeBoundingSphere();
    geometry.boundingSphere.radius += largest * sizeScale;
  }

  // A frame's cost is the time until the GPU has drawn it. Frames whose surfels have just arrived
  // are still being uploaded and say nothing; neither does a page that was hidden meanwhile.
  const pace = { measuring: false, disks: 0, looks: 0 };
  document.addEventListener("visibilitychange", () => (pace.looks += 1));

  function measure(gl, disks, nearest, farthest) {
    if (disks < config.thinFrom) status.fullWithin = null;
    const arrived = disks !== pace.disks;
    pace.disks = disks;
    if (arrived || disks < config.thinFrom || pace.measuring) return;
    pace.measuring = true;
    const [begun, looks] = [performance.now(), pace.looks];
    let fence = null;
    const ask = () => {
      const answer = gl.clientWaitSync(fence, 0, 0);
      if (answer === gl.TIMEOUT_EXPIRED) return setTimeout(ask, 2);
      gl.deleteSync(fence);
      pace.measuring = false;
      if (answer !== gl.WAIT_FAILED && looks === pace.looks && disks === pace.disks) {
        adapt(performance.now() - begun, nearest, farthest);
      }
    };
    // This runs before the frame is drawn, and a microtask after.
    queueMicrotask(() => {
      fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
      gl.flush();
      setTimeout(ask, 2);
    });
  }

  // What is drawn far away goes with the square of the distance within which all is drawn: between
  // `nearest`, below which disks would get too large, and `farthest`, beyond which there are none.
  function adapt(cost, nearest, farthest) {
    const before = status.fullWithin ?? farthest;
    if (cost > config.slow) {
      const less = Math.min(0.9, Math.max(0.35, Math.sqrt(config.slow / cost)));
      const after = Math.max(less * before, nearest);
      status.fullWithin = after < farthest ? after : null;
      if (after < 0.99 * before) window.__viserMutable.requestRender();
    } else if (cost < config.quick && status.fullWithin !== null) {
      status.fullWithin = 1.15 * before < farthest ? 1.15 * before : null;
    }
  }

  // Nearest and farthest distance of what a chunk holds from the camera.
  function distances(points, camera) {
    const { center, radius } = points.geometry.boundingSphere;
    const seen = center.clone().applyMatrix4(points.matrixWorld);
    const distance = seen.applyMatrix4(camera.matrixWorldInverse).length();
    return [Math.max(0, distance - radius), distance + radius];
  }

  // A number in [0, 1) for each surfel of a chunk: one that stays has less than the share that is
  // drawn. Of 16 surfels in a row each sixteenth has one number, so that those that stay are spread
  // evenly; where it starts is another in every 16, since regular steps over the rows of a picture
  // leave out whole stripes of it.
  let lots = null;
  let order = null;
  function drawLots(count, attribute) {
    if (lots !== null && lots.count >= count) return;
    const scrambled = (x) => {
      x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
      x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
      return (x ^ (x >>> 16)) >>> 0;
    };
    const values = Float32Array.from({ length: Math.max(count, config.chunkSize) }, (_, i) => {
      const [a, b, c, d] = [0, 1, 2, 3].map((bit) => ((i ^ scrambled(i >> 4)) >> bit) & 1);
      return (8 * a + 4 * b + 2 * c + d + scrambled(i) / 2 ** 32) / 16;
    });
    const rows = Uint32Array.from(values.subarray(0, config.chunkSize), (_, i) => i);
    lots = new attribute.constructor(values, 1);
    order = new attribute.constructor(rows.sort((i, j) => values[i] - values[j]), 1);
  }

  // Has the GPU look at no more surfels of a whole chunk than its nearest point has drawn; the
  // vertex shader leaves out those that are farther away.
  function drawShare(points, count, nearest, within) {
    const { geometry } = points;
    drawLots(geometry.attributes.position.count, geometry.attributes.position);
    if (geometry.attributes.lot !== lots) geometry.setAttribute("lot", lots);
    const share = Math.min(1, (within / Math.max(nearest, 1e-6)) ** 2);
    const whole = count === config.chunkSize && geometry.attributes.position.count === count;
    const some = whole && share < 0.9;
    const index = some ? order : null;
    if (geometry.index !== index) geometry.setIndex(index);
    geometry.setDrawRange(0, some ? Math.ceil((share + 0.02) * count) : count);
  }

  // Runs just before three.js draws, when all of this frame's messages have been applied.
  function dress(renderer, camera, target) {
    const refs = window.__viserMutable.nodeRefFromName;
    const nodes = window.__viserSceneTree.getState();
    const ready = new Map();
    // A picture for the server (get_render) has a camera of its own, and all disks.
    const own = camera === window.__viserMutable.camera;
    const within = (own && status.fullWithin) || ALL;
    let [farthest, radius] = [0, 0];
    status.disks = 0;
    for (const name in refs) {
      if (!name.endsWith(config.suffix)) continue;
      const chunk = name.slice(0, -config.suffix.length);
      const points = pointsIn(refs[chunk]);
      const normalRadius = pointsIn(refs[name])?.geometry.attributes.position;
      if (!points) continue;
      const { position, color } = points.geometry.attributes;
      if (!position || !color || !normalRadius) {
        wearStock(points);
        continue;
      }
      const cloud = chunk.slice(0, chunk.lastIndexOf("/"));
      if (!ready.has(cloud)) {
        const material = prepareMaterial(cloud, points.material, renderer, camera, target);
        const settings = nodes[cloud]?.message.props;
        material.uniforms.uSizeScale.value = settings?.axes_length ?? 1;
        material.uniforms.uShade.value = settings?.axes_radius ?? 0;
        material.uniforms.uFullWithin.value = within;
        ready.set(cloud, material);
      }
      const material = ready.get(cloud);
      if (points.material !== material) {
        stockMaterial.set(points, points.material);
        points.material = material;
      }
      if (points.geometry.attributes.normalRadius !== normalRadius) {
        points.geometry.setAttribute("normalRadius", normalRadius);
      }
      bound(points, normalRadius, material.uniforms.uSizeScale.value);
      // The two nodes arrive as two messages. Between them only the surfels that both know are
      // drawn; chunks grow at their end, so those belong together.
      const drawn = nodes[name]?.message.props.point_size ?? 0;
      const count = Math.min(position.count, color.count, normalRadius.count, drawn);
      const [nearest, far] = distances(points, camera);
      drawShare(points, count, nearest, within);
      status.disks += count;
      farthest = Math.max(farthest, far);
      radius = Math.max(radius, meanRadius.get(points));
    }
    if (!own) return;
    const focal = 0.5 * renderer.domElement.height * camera.projectionMatrix.elements[5];
    measure(renderer.getContext(), status.disks, (focal * radius) / LARGEST_DOT, farthest);
  }

  function undress() {
    const refs = window.__viserMutable.nodeRefFromName;
    for (const name in refs) {
      const points = pointsIn(refs[name]);
      if (points && stockMaterial.has(points)) wearStock(points);
    }
  }

  function hook(scene) {
    if (scene.__vmemSurfels) return;
    scene.__vmemSurfels = true;
    const previous = scene.onBeforeRender;
    scene.onBeforeRender = function (renderer, drawn, camera, target) {
      previous?.call(this, renderer, drawn, camera, target);
      if (status.error) return;
      try {
        dress(renderer, camera, target);
      } catch (error) {
        status.error = String(error);
        console.warn("surfels are shown as round points:", error);
        undress();
      }
    };
    window.__viserMutable.requestRender();
  }

  // The scene appears after the page has loaded, and anew if the canvas is mounted again.
  setInterval(() => {
    const scene = window.__viserMutable?.scene;
    if (scene) hook(scene);
  }, 100);
}
