// The panorama behind all views, on a sphere. viewer/first_person/backdrop.py makes it;
// screen.frag.glsl looks it up by direction from the sphere's centre, in world axes.

const APPEAR_MS = 600;
const NEAREST = 0.6; // share of the radius beyond which the sphere moves with the walker

class Backdrop {
  constructor(gl) {
    this.gl = gl;
    this.texture = gl.createTexture();
    this.clear();
  }

  // None: the last pass shows its own dark colour.
  clear() {
    Object.assign(this, { centre: [0, 0, 0], radius: 1 });
    this.fill(new ImageData(1, 1));
    this.born = Infinity;
  }

  // panorama: an ImageBitmap, which is closed; centre and radius of the sphere in scene units.
  set(panorama, { centre, radius }, now) {
    Object.assign(this, { centre, radius });
    this.fill(panorama);
    panorama.close();
    this.born = now;
  }

  fill(image) {
    const { gl } = this;
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, image);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.REPEAT); // it closes behind the walker
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
  }

  // Set the uniforms of the last pass (`at`: their locations) and its second texture.
  use(at, { position, right, down, ahead }, fov, aspect, now) {
    const { gl } = this;
    const from = position.map((x, i) => (x - this.centre[i]) / this.radius);
    const away = Math.hypot(...from) / NEAREST || 1;
    gl.uniform3fv(at.from, from.map((x) => (x * Math.tanh(away)) / away));
    const tall = Math.tan(fov / 2);
    const columns = [right.map((x) => x * tall * aspect), down.map((y) => -y * tall), ahead];
    gl.uniformMatrix3fv(at.look, false, columns.flat());
    gl.uniform1f(at.present, Math.max(0, Math.min(1, (now - this.born) / APPEAR_MS)));
    gl.uniform1i(at.backdrop, 1);
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.activeTexture(gl.TEXTURE0);
  }
}
