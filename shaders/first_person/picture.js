// Draws stored views as textured depth meshes from the walker's own place, at display rate.
// Depth of what is solid first; then every view's colours, weighted and added; then their mean.

const NEAR = 0.02;
const FAR = 200;
const PUSH = 0.0015; // share of depth by which colours may lie behind the first pass
const TORN = 0.25; // bend (of 255 levels of 1/500) from which a triangle crosses a silhouette
const FADE_MS = 400;

class Picture {
  constructor(canvas, sources) {
    this.canvas = canvas;
    const gl = (this.gl = canvas.getContext("webgl2", { antialias: false, alpha: false }));
    if (!gl) throw new Error("WebGL 2 is not available");
    gl.getExtension("EXT_color_buffer_float");
    gl.getExtension("EXT_float_blend");
    this.solid = program(gl, sources.warpVertex, sources.depthFragment);
    this.warp = program(gl, sources.warpVertex, sources.warpFragment);
    this.screen = program(gl, sources.screenVertex, sources.screenFragment);
    this.empty = gl.createVertexArray();
    this.views = new Map();
    this.target = null;
  }

  // view: what readViewFile gives.
  add(view, now) {
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
    const [points, corners] = [gl.createBuffer(), gl.createBuffer()];
    gl.bindBuffer(gl.ARRAY_BUFFER, points);
    gl.bufferData(gl.ARRAY_BUFFER, view.mesh.vertices, gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 4, gl.FLOAT, false, 0, 0);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, corners);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, view.mesh.indices, gl.STATIC_DRAW);
    gl.bindVertexArray(null);
    const c2w = Float32Array.from(view.c2w); // by columns
    this.views.set(view.id, {
      id: view.id, texture, array, points, corners, count: view.mesh.indices.length,
      K: view.K, c2w, from: c2w.slice(12, 15), ahead: c2w.slice(8, 11), born: now,
    });
  }

  remove(id) {
    const view = this.views.get(id);
    if (!view) return;
    const { gl } = this;
    gl.deleteTexture(view.texture);
    gl.deleteBuffer(view.points);
    gl.deleteBuffer(view.corners);
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
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA16F, width, height);
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

  // eye: {position, right, down, ahead} of the walker; fov: vertical, radians. Draws `most` views.
  draw(eye, fov, most, now) {
    const { gl, canvas } = this;
    const clip = clipMatrix(eye, fov, canvas.width / canvas.height);
    const drawn = this.chosen(eye, most);
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
    this.pass(this.solid, drawn, clip, eye, PUSH, now);
    gl.colorMask(true, true, true, true);
    gl.depthMask(false);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE);
    this.pass(this.warp, drawn, clip, eye, 0, now);
    gl.disable(gl.BLEND);
    gl.disable(gl.DEPTH_TEST);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.useProgram(this.screen.program);
    gl.bindVertexArray(this.empty);
    gl.bindTexture(gl.TEXTURE_2D, this.target.sums);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    return drawn.map((view) => view.id);
  }

  pass({ program, at }, drawn, clip, eye, push, now) {
    const { gl } = this;
    gl.useProgram(program);
    gl.uniformMatrix4fv(at.clip, false, clip);
    gl.uniform1f(at.push, push);
    gl.uniform1f(at.torn, TORN);
    if (at.eye) gl.uniform3fv(at.eye, eye.position);
    for (const view of drawn) {
      gl.uniform4fv(at.K, view.K);
      gl.uniformMatrix4fv(at.c2w, false, view.c2w);
      if (at.from) {
        gl.uniform3fv(at.from, view.from);
        gl.uniform1f(at.age, Math.min(1, 0.02 + (now - view.born) / FADE_MS));
        gl.bindTexture(gl.TEXTURE_2D, view.texture);
      }
      gl.bindVertexArray(view.array);
      gl.drawElements(gl.TRIANGLES, view.count, gl.UNSIGNED_SHORT, 0);
    }
  }

  // The `most` views of some that suit the walker best: near, and looking the same way.
  chosen(eye, most, views = this.views.values()) {
    const score = ({ from, ahead }) => {
      const away = Math.hypot(...from.map((x, i) => x - eye.position[i]));
      return 2 * away + Math.acos(Math.max(-1, Math.min(1, dot(ahead, eye.ahead))));
    };
    const scored = [...views].map((view) => [score(view), view]);
    scored.sort((a, b) => a[0] - b[0]);
    return scored.slice(0, most).map(([, view]) => view);
  }
}

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

// World to clip space, by columns, for a camera with y down and z ahead.
function clipMatrix({ position, right, down, ahead }, fov, aspect) {
  const f = 1 / Math.tan(fov / 2);
  const rows = [
    [right, f / aspect],
    [down, -f],
    [ahead, (FAR + NEAR) / (FAR - NEAR)],
    [ahead, 1],
  ].map(([axis, scale]) => [...axis.map((x) => x * scale), -dot(axis, position) * scale]);
  rows[2][3] -= (2 * FAR * NEAR) / (FAR - NEAR);
  const columns = new Float32Array(16);
  for (let i = 0; i < 16; i++) columns[i] = rows[i % 4][i >> 2];
  return columns;
}

function program(gl, vertex, fragment) {
  const made = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) {
    throw new Error(gl.getAttachedShaders(made).map((s) => gl.getShaderInfoLog(s)).join("\n"));
  }
  const at = {};
  for (let i = 0; i < gl.getProgramParameter(made, gl.ACTIVE_UNIFORMS); i++) {
    const { name } = gl.getActiveUniform(made, i);
    at[name] = gl.getUniformLocation(made, name);
  }
  return { program: made, at };
}
