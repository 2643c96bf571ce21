// The map from above in a corner of the picture: x to the right, z upwards. Python sends what memory
// holds and where its views are; the walker is drawn here, whenever he moves.
//   show {low: [x, z], side, shade: data URL, scale, keep, add: [[x, z, left x, z, right x, z]]}
//        side, scale: scene units along a side, and of the scale bar; of the views' places before,
//        the first `keep` stay; then a camera and the directions that bound its picture

const WEDGE = 0.06; // length of a camera's wedge, in sides of the map
const WALKER_WEDGE = 0.13;
const ON_CPU = { willReadFrequently: true }; // small, and drawn often: the GPU has enough to do

class Plan {
  constructor(parent, changed) {
    this.changed = changed;
    this.canvas = parent.appendChild(document.createElement("canvas"));
    this.canvas.className = "vmem-over-map";
    this.canvas.dataset.vmem = "plan";
    this.canvas.title = "the walk from above: click to stand there";
    this.base = document.createElement("canvas");
    this.stops = [];
    this.chosen = [];
    this.window = null;
  }

  show({ low, side, shade, scale, keep, add }) {
    this.stops = [...this.stops.slice(0, keep), ...add];
    const image = new Image();
    image.onload = () => {
      // The picture and its window belong together.
      if (this.loading !== image) return;
      this.window = { low, side, scale, image };
      this.paintBase();
    };
    this.loading = image;
    image.src = shade;
  }

  choose(views) {
    this.chosen = views; // [number, CSS colour], best first
    this.paintBase();
  }

  // (x, z) of the world to pixels.
  at(x, z) {
    const { low, side } = this.window;
    const { width, height } = this.canvas;
    return [((x - low[0]) / side) * width, (1 - (z - low[1]) / side) * height];
  }

  paintBase() {
    this.stale = true;
    this.changed();
  }

  makeBase() {
    const { canvas, base, stops } = this;
    const ratio = canvas.width / canvas.clientWidth;
    const css = getComputedStyle(canvas);
    const color = (name) => css.getPropertyValue(`--vmem-${name}`) || "#fff";
    this.walkerColor = color("amber");
    [base.width, base.height] = [canvas.width, canvas.height];
    const context = base.getContext("2d", ON_CPU);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.window.image, 0, 0, base.width, base.height);
    context.lineWidth = ratio;
    context.strokeStyle = color("sky");
    context.beginPath();
    for (const [x, z] of stops) context.lineTo(...this.at(x, z));
    context.stroke();
    context.fillStyle = "#fff";
    for (const [x, z] of stops) {
      const [left, top] = this.at(x, z);
      context.fillRect(left - ratio, top - ratio, 2 * ratio, 2 * ratio);
    }
    for (const [view, own] of [...this.chosen].reverse()) {
      if (!stops[view]) continue;
      this.wedge(context, stops[view], WEDGE);
      context.fillStyle = own;
      context.fill();
      context.lineWidth = ratio;
      context.strokeStyle = color("background");
      context.stroke();
    }
    this.scaleBar(context, ratio);
    this.stale = false;
  }

  scaleBar(context, ratio) {
    const { side, scale } = this.window;
    const [x, y] = [8 * ratio, this.canvas.height - 8 * ratio];
    context.fillStyle = "#fff";
    context.fillRect(x, y, (scale / side) * this.canvas.width, ratio);
    context.font = `${10 * ratio}px system-ui, sans-serif`;
    context.fillText(`${scale} scene unit${scale === 1 ? "" : "s"}`, x, y - 3 * ratio);
  }

  wedge(context, [x, z, leftX, leftZ, rightX, rightZ], length) {
    const { width, height } = this.canvas;
    const [left, top] = this.at(x, z);
    context.beginPath();
    context.moveTo(left, top);
    context.lineTo(left + leftX * length * width, top - leftZ * length * height);
    context.lineTo(left + rightX * length * width, top - rightZ * length * height);
    context.closePath();
  }

  draw(eye, fov) {
    const { canvas } = this;
    if (!this.window || !canvas.clientWidth) return;
    // A large picture zooms what lies over it: the box has that, clientWidth does not.
    const size = Math.round(canvas.getBoundingClientRect().width * Math.min(devicePixelRatio, 3));
    const ratio = size / canvas.clientWidth;
    if (canvas.width !== size || canvas.height !== size) {
      [canvas.width, canvas.height] = [size, size];
      this.stale = true;
    }
    if (this.stale) this.makeBase();
    const context = canvas.getContext("2d", ON_CPU);
    context.clearRect(0, 0, size, size);
    context.drawImage(this.base, 0, 0);
    const flat = Math.hypot(eye.ahead[0], eye.ahead[2]) || 1;
    const ahead = [eye.ahead[0] / flat, eye.ahead[2] / flat];
    const half = Math.tan(Math.min(fov, 2.4) / 2);
    const sides = [-half, half].flatMap((s) => {
      const side = [ahead[0] + s * eye.right[0], ahead[1] + s * eye.right[2]];
      return side.map((x) => x / Math.hypot(...side));
    });
    const [x, z] = [eye.position[0], eye.position[2]];
    this.wedge(context, [x, z, ...sides], WALKER_WEDGE);
    context.fillStyle = context.strokeStyle = this.walkerColor;
    context.globalAlpha = 0.35;
    context.fill();
    context.globalAlpha = 1;
    context.lineWidth = 1.5 * ratio;
    context.stroke();
    context.beginPath();
    context.arc(...this.at(x, z), 3 * ratio, 0, 2 * Math.PI);
    context.fill();
  }
}
