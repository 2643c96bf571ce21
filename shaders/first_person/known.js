// How much of the picture stored views know, from a few hundred of its points.

class Known {
  static SIZE = [32, 18]; // points looked at
  static LITTLE = 0.08; // share of the picture that is known, at which the walker stands,
  static ENOUGH = 0.35; // and from which he walks at full speed
  static AT_VIEW = 0.12; // scene units from a stored view within which he is never slowed

  constructor(gl, sources) {
    this.gl = gl;
    this.program = program(gl, sources.screenVertex, sources.knownFragment).program;
    this.empty = gl.createVertexArray();
    this.texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA8, ...Known.SIZE);
    this.frame = gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.texture, 0);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    this.pixels = new Uint8Array(4 * Known.SIZE[0] * Known.SIZE[1]);
    this.buffer = gl.createBuffer();
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, this.buffer);
    gl.bufferData(gl.PIXEL_PACK_BUFFER, this.pixels.length, gl.STREAM_READ);
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
    this.asked = null; // a fence behind the last question
    this.share = 1; // of the picture that is known, as of the last answer
  }

  // Ask of the texture of summed weights; `settle` has the answer once it is drawn. Nobody waits.
  ask(sums) {
    const { gl } = this;
    if (this.asked) return;
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.frame);
    gl.viewport(0, 0, ...Known.SIZE);
    gl.useProgram(this.program);
    gl.bindVertexArray(this.empty);
    gl.bindTexture(gl.TEXTURE_2D, sums);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, this.buffer);
    gl.readPixels(0, 0, ...Known.SIZE, gl.RGBA, gl.UNSIGNED_BYTE, 0);
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    this.asked = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
  }

  settle() {
    const { gl, pixels } = this;
    if (!this.asked || gl.getSyncParameter(this.asked, gl.SYNC_STATUS) !== gl.SIGNALED) return;
    gl.deleteSync(this.asked);
    this.asked = null;
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, this.buffer);
    gl.getBufferSubData(gl.PIXEL_PACK_BUFFER, 0, pixels);
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
    let known = 0;
    for (let i = 0; i < pixels.length; i += 4) known += pixels[i] > 127;
    this.share = (4 * known) / pixels.length;
  }

  // Factor of the walker's speed in [0, 1] where `share` of the picture is known. Towards the nearest
  // stored view (`places`: [x, y, z] of some) he is not slowed, nor close to one.
  static pace(share, position, heading, places) {
    let [least, nearest] = [Infinity, null];
    for (const place of places) {
      const away = Math.hypot(...place.map((x, i) => x - position[i]));
      if (away < least) [least, nearest] = [away, place];
    }
    if (!nearest || least < Known.AT_VIEW) return 1;
    const back = nearest.map((x, i) => x - position[i]);
    if (dot(back, heading) > 0) return 1;
    const t = Math.max(0, Math.min(1, (share - Known.LITTLE) / (Known.ENOUGH - Known.LITTLE)));
    return t * t * (3 - 2 * t);
  }
}
