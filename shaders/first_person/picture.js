// Draws stored views as textured depth meshes from the walker's own place, at display rate.
// Depth of what is solid first; then every view's colours, weighted and added; then their mean.

const NEAR = 0.02;
const FAR = 200;
const PUSH = 0.0015; // share of depth by which colours may lie behind the first pass
const WAITING = 0.05; // of its share, that a view without memory's colours keeps among those with them
const FADE_MS = 400;
const FINE_FROM = 480; // pixels of the canvas's height up to which the coarse triangles are fine enough

class Picture {
  constructor(canvas, sources) {
    this.canvas = canvas;
    const gl = (this.gl = canvas.getContext("webgl2", { antialias: false, alpha: false }));
    if (!gl) throw new Error("WebGL 2 is not available");
    gl.getExtension("EXT_color_buffer_float");
    // Whole floats where they can be added up: on a CPU they are cheaper, too.
    this.sums = gl.getExtension("EXT_float_blend") ? gl.RGBA32F : gl.RGBA16F;
    this.depth = program(gl, sources.warpVertex, sources.depthFragment);
    this.warp = program(gl, sources.warpVertex, sources.warpFragment);
    this.screen = program(gl, sources.screenVertex, sources.screenFragment);
    this.empty = gl.createVertexArray();
    this.views = new Map();
    this.heat = null; // Heat, where there is one
    this.backdrop = new Backdrop(gl);
    this.target = null;
    this.chosen = new Set(); // ids
    this.before = -Infinity; // when it was drawn last
    this.hurried = false; // on a page that cannot keep up nothing fades
    this.fading = false; // whether it must be drawn again although nothing moves
  }

  // view: what readViewFile gives.
  add(view) {
    const { gl } = this;
    this.remove(view.id);
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, view.picture);
    for (const wrap of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) {
      gl.texParameteri(gl.TEXTURE_2D, wrap, gl.CLAMP_TO_EDGE);
    }
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    view.picture.close();
    const array = gl.createVertexArray();
    gl.bindVertexArray(array);
    const { vertices, details } = view.mesh;
    const points = buffer(gl, gl.ARRAY_BUFFER, vertices);
    for (const [at, size, offset] of [[0, 4, 0], [1, 2, 16]]) {
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, size, gl.FLOAT, false, 4 * VERTEX, offset);
    }
    const corners = details.map((detail) => buffer(gl, gl.ELEMENT_ARRAY_BUFFER, detail.corners));
    gl.bindVertexArray(null);
    this.views.set(view.id, {
      id: view.id, texture, array, points, corners, details, share: 0, K: view.K,
    });
    this.place(view.id, view.c2w);
  }

  // Put a view's camera elsewhere; c2w by columns.
  place(id, numbers) {
    const view = this.views.get(id);
    const c2w = Float32Array.from(numbers);
    if (view) Object.assign(view, { c2w, from: c2w.slice(12, 15), ahead: c2w.slice(8, 11) });
  }

  remove(id) {
    const view = this.views.get(id);
    if (!view) return;
    const { gl } = this;
    gl.deleteTexture(view.texture);
    gl.deleteBuffer(view.points);
    view.corners.forEach((corners) => gl.deleteBuffer(corners));
    gl.deleteVertexArray(view.array);
    this.views.delete(id);
  }

  resize(width, height) {
    const { gl, canvas } = this;
    if (this.target && canvas.width === width && canvas.height === height) return;
    [canvas.width, canvas.height] = [width, height];
    if (this.target) {
      gl.deleteTexture(this.target.sums);
      gl.deleteRenderbuffer(this.target.depth);
      gl.deleteFramebuffer(this.target.frame);
    }
    const sums = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, sums);
    gl.texStorage2D(gl.TEXTURE_2D, 1, this.sums, width, height);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    const depth = gl.createRenderbuffer();
    gl.bindRenderbuffer(gl.RENDERBUFFER, depth);
    gl.renderbufferStorage(gl.RENDERBUFFER, gl.DEPTH_COMPONENT24, width, height);
    const frame = gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, sums, 0);
    gl.framebufferRenderbuffer(gl.FRAMEBUFFER, gl.DEPTH_ATTACHMENT, gl.RENDERBUFFER, depth);
    this.target = { sums, depth, frame };
  }

  // eye: {position, right, down, ahead} of the walker; fov: vertical, radians. Chooses `most` views, and
  // draws them and those that fade out. Returns the ids of the chosen, the best first.
  draw(eye, fov, most, now) {
    const { gl, canvas } = this;
    const aspect = canvas.width / canvas.height;
    const clip = clipMatrix(eye, fov, aspect, NEAR, FAR);
    const chosen = this.suiting(eye, fov, most, this.views.values());
    this.chosen = new Set(chosen.map((view) => view.id));
    const drawn = this.faded(now);
    // What has just begun to come must not hide others yet.
    const settled = drawn.filter((view) => view.share > 0.5);
    const detail = canvas.height > FINE_FROM ? 0 : 1;
    const frame = { eye, clip, detail };
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target.frame);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.depthMask(true);
    gl.colorMask(true, true, true, true);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.DEPTH_TEST);
    gl.depthFunc(gl.LEQUAL);
    gl.disable(gl.BLEND);
    gl.colorMask(false, false, false, false);
    this.pass(this.depth, settled.length ? settled : drawn, frame, PUSH);
    gl.colorMask(true, true, true, true);
    gl.depthMask(false);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE);
    this.pass(this.warp, drawn, frame, 0);
    gl.disable(gl.BLEND);
    gl.disable(gl.DEPTH_TEST);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.useProgram(this.screen.program);
    gl.bindVertexArray(this.empty);
    this.backdrop.use(this.screen.at, eye, fov, aspect, now);
    gl.uniform1f(this.screen.at.grey, this.heat?.isSeen ? 1 : 0);
    gl.bindTexture(gl.TEXTURE_2D, this.target.sums);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    return chosen.map((view) => view.id);
  }

  // At most `most` of some views that suit the walker, the best first; those drawn now are preferred.
  suiting(eye, fov, most, views) {
    const { width, height } = this.canvas;
    return suitable(views, eye, fov, width / height, most, this.chosen);
  }

  // The views that are drawn now, each with its share: the chosen come, the others go.
  faded(now) {
    const step = Math.min(1, Math.max(0, now - this.before) / FADE_MS);
    this.before = now;
    this.fading = false;
    const drawn = [];
    const alone = ![...this.views.values()].some((view) => view.share);
    for (const view of this.views.values()) {
      const wanted = this.chosen.has(view.id) ? 1 : 0;
      // With nothing to fade from, a view is there at once.
      const by = alone || this.hurried ? 1 : Math.max(step, wanted && 0.02);
      view.share = Math.max(0, Math.min(1, view.share + (wanted ? by : -by)));
      if (view.share !== wanted) this.fading = true;
      if (view.share) drawn.push(view);
    }
    return drawn;
  }

  pass({ program, at }, drawn, { eye, clip, detail }, push) {
    const { gl } = this;
    gl.useProgram(program);
    gl.uniformMatrix4fv(at.clip, false, clip);
    gl.uniform1f(at.push, push);
    if (at.eye) gl.uniform3fv(at.eye, eye.position);
    for (const view of drawn) {
      gl.uniform4fv(at.K, view.K);
      gl.uniformMatrix4fv(at.c2w, false, view.c2w);
      if (at.share) {
        this.tint(at, view);
        gl.bindTexture(gl.TEXTURE_2D, view.texture);
        gl.uniform1f(at.sheet, 0);
      }
      gl.bindVertexArray(view.array);
      gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, view.corners[detail]);
      const { solid, sheet } = view.details[detail];
      gl.drawElements(gl.TRIANGLES, solid, gl.UNSIGNED_INT, 0);
      if (!at.share || !sheet) continue;
      gl.uniform1f(at.sheet, 1);
      gl.drawElements(gl.TRIANGLES, sheet, gl.UNSIGNED_INT, 4 * solid);
    }
  }

  // Lay memory's colours over a view. One whose map has yet to come gives way to those that have one.
  tint(at, { id, share }) {
    const { gl, heat } = this;
    const texture = heat?.textureOf(id);
    gl.uniform1f(at.tint, heat?.isSeen ? 1 : 0); // grey until its map has come
    gl.uniform1f(at.share, heat?.isSeen && !texture ? share * WAITING : share);
    gl.uniform1i(at.heat, 1);
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, texture ?? heat?.none ?? null);
    gl.activeTexture(gl.TEXTURE0);
  }
}

function buffer(gl, target, content) {
  const made = gl.createBuffer();
  gl.bindBuffer(target, made);
  gl.bufferData(target, content, gl.STATIC_DRAW);
  return made;
}
