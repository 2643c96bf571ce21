// Turns viser's stock point clouds into surfels: gives them the shaders of surfel.*.glsl.
// A function expression; Python calls it with `config`:
//   vertexShader, fragmentShader  GLSL
//   suffix                        a node NAME + suffix holds the normals and radii of node NAME
//
// Leans on viser 1.1.1: window.__viserMutable (scene, nodeRefFromName, requestRender),
// window.__viserSceneTree.getState(), and a point cloud being group > group > THREE.Points.
// Whatever goes wrong, the stock materials are put back: users then see round points.
(config) => {
  if (window.__vmemSurfels) return;
  const status = (window.__vmemSurfels = { disks: 0, error: null });
  const materialOfCloud = new Map();
  const stockMaterial = new WeakMap();
  const boundsOf = new WeakMap();

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
    let largest = 0;
    for (let i = 0; i < normalRadius.count; i++) largest = Math.max(largest, normalRadius.getZ(i));
    geometry.computeBoundingSphere();
    geometry.boundingSphere.radius += largest * sizeScale;
  }

  // Runs just before three.js draws, when all of this frame's messages have been applied.
  function dress(renderer, camera, target) {
    const refs = window.__viserMutable.nodeRefFromName;
    let nodes = null;
    const ready = new Map();
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
        nodes ??= window.__viserSceneTree.getState();
        const settings = nodes[cloud]?.message.props;
        material.uniforms.uSizeScale.value = settings?.axes_length ?? 1;
        material.uniforms.uShade.value = settings?.axes_radius ?? 0;
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
      // drawn; chunks grow and shrink at their end, so those belong together.
      const count = Math.min(position.count, color.count, normalRadius.count);
      points.geometry.setDrawRange(0, count);
      status.disks += count;
    }
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
