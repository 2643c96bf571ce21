// Memory's colours over the picture. Of every drawn view a map says which surfel it shows where, and
// one file has the present colour of every surfel: together a small texture a view, which the views'
// shader lays over the photograph. viewer/first_person/surfel_map.py and heat.py write the files.
// Python calls, as window.__vmemFirstPerson.heat[op](config):
//   views  {add: [[id, address]], remove: [ids], revision, undone}: where the maps are. Those of
//          another revision are fetched again; after an undo they are dropped at once.
//   show   {address, version}: other colours, to be fetched
//   hide   {}

const MAPS_AT_ONCE = 2; // on their way
const KEPT_MAPS = 64; // that were read; of others only the address is kept

class Heat {
  // changed(): called when the picture is to be drawn again.
  constructor(gl, changed) {
    this.gl = gl;
    this.changed = changed;
    this.maps = new Map(); // id -> {address, revision, surfels, width, height, texture, painted}
    this.revision = 0;
    this.undos = 0; // what was asked for before the last one is of another memory
    this.version = 0;
    this.on = false;
    this.colors = null; // RGBA a surfel
    this.coming = new Set();
    this.none = this.makeTexture();
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 1, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  }

  // --- what Python says ----------------------------------------------------------------------

  views({ add, remove, revision, undone }) {
    for (const id of remove) {
      this.gl.deleteTexture(this.maps.get(id)?.texture ?? null);
      this.maps.delete(id);
    }
    for (const [id, address] of add) this.maps.set(id, { address, revision: -1 });
    this.revision = revision;
    if (!undone) return;
    this.undos++;
    // Their surfels may be others by now, or none.
    for (const map of this.maps.values()) map.surfels = null;
    this.colors = null;
    this.changed();
  }

  show({ address, version }) {
    this.on = true;
    this.version = version;
    this.fetchColors(address);
  }

  hide() {
    this.on = false;
    this.colors = null;
    this.changed();
  }

  // --- for the picture -----------------------------------------------------------------------

  // Whether any view may be coloured now.
  get isSeen() {
    return this.on && this.colors !== null;
  }

  // The texture of a view, or null where its colours are not known (yet).
  textureOf(id) {
    const map = this.maps.get(id);
    if (!this.isSeen || !map) return null;
    map.used = performance.now();
    if (map.revision !== this.revision) this.fetchMap(map);
    if (!map.surfels) return null;
    if (map.painted !== this.colors) this.paint(map);
    return map.texture;
  }

  paint(map) {
    const { gl, colors } = this;
    const texels = new Uint8Array(4 * map.surfels.length);
    const from = new Uint32Array(colors.buffer);
    const to = new Uint32Array(texels.buffer);
    // A surfel that is newer than the colours has no value.
    for (let i = 0; i < to.length; i++) to[i] = from[map.surfels[i] - 1] ?? 0;
    map.texture ??= this.makeTexture();
    gl.bindTexture(gl.TEXTURE_2D, map.texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, map.width, map.height, 0, gl.RGBA, gl.UNSIGNED_BYTE, texels);
    map.painted = colors;
  }

  makeTexture() {
    const { gl } = this;
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    for (const wrap of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) {
      gl.texParameteri(gl.TEXTURE_2D, wrap, gl.CLAMP_TO_EDGE);
    }
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    return texture;
  }

  // --- files ----------------------------------------------------------------------------------

  // One at a time, the newest there is.
  async fetchColors(address) {
    if (this.fetching) return;
    this.fetching = true;
    let got = 0;
    try {
      while (this.on && got !== this.version) {
        got = this.version;
        const { undos } = this;
        const colors = await inflate(await fetched(address, got));
        if (!this.on || undos !== this.undos) {
          got = 0;
          continue;
        }
        this.colors = colors;
        this.changed();
      }
    } catch (error) {
      console.error("memory's colours did not come", error);
    } finally {
      this.fetching = false;
    }
  }

  async fetchMap(map) {
    if (this.coming.has(map) || this.coming.size >= MAPS_AT_ONCE) return;
    this.coming.add(map);
    const { revision, undos } = this;
    try {
      const read = await readSurfelMap(await fetched(map.address, revision));
      if (undos === this.undos) Object.assign(map, read, { revision, painted: null });
      this.forgetOld();
    } catch (error) {
      map.revision = revision; // not again
      if (undos === this.undos) console.error("a view's map of surfels did not come", error);
    } finally {
      this.coming.delete(map);
      this.changed();
    }
  }

  // Of the maps that were read, those drawn last stay.
  forgetOld() {
    const read = [...this.maps.values()].filter(({ surfels }) => surfels);
    for (const map of read.sort((a, b) => b.used - a.used).slice(KEPT_MAPS)) {
      this.gl.deleteTexture(map.texture ?? null);
      Object.assign(map, { surfels: null, texture: null, revision: -1 });
    }
  }
}

async function fetched(address, version) {
  const answer = await fetch(`${address}?v=${version}`, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

// {width, height, surfels: Uint32Array of surfel + 1, 0 for none} of a file.
async function readSurfelMap(bytes) {
  const head = new DataView(bytes.buffer, bytes.byteOffset);
  const [width, height] = [head.getUint16(0, true), head.getUint16(2, true)];
  const surfels = new Uint32Array((await inflate(bytes.subarray(4))).buffer);
  for (let i = 1; i < surfels.length; i++) surfels[i] += surfels[i - 1]; // modulo 2^32
  return { width, height, surfels };
}
