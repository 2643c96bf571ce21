// A WebGL 2 program, and where its uniforms are: {program, at: {name: location}}.
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

// World to clip space, by columns, for a camera {position, right, down, ahead} with y down, z ahead.
function clipMatrix({ position, right, down, ahead }, fov, aspect, near, far) {
  const f = 1 / Math.tan(fov / 2);
  const rows = [
    [right, f / aspect],
    [down, -f],
    [ahead, (far + near) / (far - near)],
    [ahead, 1],
  ].map(([axis, scale]) => [...axis.map((x) => x * scale), -dot(axis, position) * scale]);
  rows[2][3] -= (2 * far * near) / (far - near);
  const columns = new Float32Array(16);
  for (let i = 0; i < 16; i++) columns[i] = rows[i % 4][i >> 2];
  return columns;
}

// Whether WebGL draws on the CPU, as far as the browser says.
function isSoftware(gl) {
  const { UNMASKED_RENDERER_WEBGL: name } = gl.getExtension("WEBGL_debug_renderer_info") ?? {};
  return /swiftshader|llvmpipe|software/i.test(gl.getParameter(name ?? gl.RENDERER));
}
