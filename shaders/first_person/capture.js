// Saves what is seen: a picture as PNG, or a clip as MP4 where the browser can write one, else WebM.
// Its file comes as a download at once. While a clip is recorded, a red dot with the time is shown.

const CLIP_TYPES = ["video/mp4;codecs=avc1", "video/mp4", "video/webm;codecs=vp9", "video/webm"];
const CLIP_FPS = 30;
// Most pixels along a side, least pixels a CSS pixel (what is seen may become finer), and a number
// that divides both sides, which video needs.
const CLIP_SIZE = { most: 1920, least: 1, step: 2 };
const CLIP_BITS = 8e6; // a second
const SAID_MS = 3000;

class Capture {
  // parent: element over whose picture the dot lies. seen(full): the canvases that are seen, the
  // uppermost last, all holding their picture now; with `full`, drawn in full resolution.
  constructor(parent, seen) {
    this.seen = seen;
    this.note = document.createElement("div");
    this.note.dataset.vmem = "capture";
    this.note.style.cssText =
      "position:absolute;top:12px;left:0;right:0;margin:auto;width:fit-content;z-index:20;" +
      "display:none;padding:3px 10px;border-radius:12px;background:#000a;color:#fff;pointer-events:none;" +
      "font:13px system-ui,sans-serif;white-space:nowrap";
    parent.append(this.note);
    this.stop = new AbortController();
    const { signal } = this.stop;
    document.addEventListener("visibilitychange", () => document.hidden && this.keep(), { signal });
    this.recorder = null;
    this.due = 0;
  }

  // Save one picture. Resolves when its download has begun.
  async screenshot() {
    const sheet = composed(this.seen(true), { most: Infinity, least: 0, step: 1 });
    const blob = sheet && (await new Promise((done) => sheet.toBlob(done, "image/png")));
    if (blob) this.say(`saved ${download(blob, "png")}`);
    else this.say("nothing to save yet");
  }

  // Begin a clip, or end the one that is being recorded.
  record() {
    if (this.recorder) this.keep();
    else this.begin();
  }

  begin() {
    const type = CLIP_TYPES.find((one) => window.MediaRecorder?.isTypeSupported(one));
    this.sheet = composed(this.seen(false), CLIP_SIZE);
    if (!type || !this.sheet) {
      this.say(type ? "nothing to record yet" : "this browser records no video");
      return;
    }
    const chunks = [];
    const options = { mimeType: type, videoBitsPerSecond: CLIP_BITS };
    const recorder = new MediaRecorder(this.sheet.captureStream(CLIP_FPS), options);
    recorder.ondataavailable = ({ data }) => data.size && chunks.push(data);
    recorder.onerror = () => this.keep();
    recorder.onstop = () => {
      recorder.stream.getTracks().forEach((track) => track.stop());
      const [kind] = type.split(";");
      const name = chunks.length && download(new Blob(chunks, { type: kind }), kind.slice(6));
      this.say(name ? `saved ${name}` : "the clip has no pictures");
    };
    recorder.start(1000);
    [this.recorder, this.began, this.due] = [recorder, performance.now(), 0];
  }

  // End the clip, if there is one, and save it.
  keep() {
    if (this.recorder?.state === "recording") this.recorder.stop();
    this.recorder = this.sheet = null;
  }

  // Whether the clip needs a picture now: what is seen is to be drawn, and `frame` called.
  wants(now) {
    return this.recorder !== null && now >= this.due;
  }

  // Add what the canvases hold to the clip, in the same turn of the page in which they were drawn.
  frame(now, canvases) {
    this.due = now + 1000 / CLIP_FPS - 4; // the page's frames are not a clip's
    compose(this.sheet, canvases);
    const seconds = Math.floor((now - this.began) / 1000);
    const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    this.show(`<span style="color:#ff4136">●</span> ${clock}`);
  }

  say(text) {
    this.show(text);
    this.saying = setTimeout(() => (this.note.style.display = "none"), SAID_MS);
  }

  show(html) {
    clearTimeout(this.saying);
    this.note.innerHTML = html;
    this.note.style.display = "block";
  }

  dispose() {
    this.keep();
    this.stop.abort();
    this.note.remove();
  }
}

// A new canvas with the picture of some, as fine as the finest; null where nothing is seen.
function composed(canvases, { most, least, step }) {
  const sheet = document.createElement("canvas");
  const { width, height } = around(canvases);
  if (!width || !height) return null;
  const finest = canvases.map((one) => one.width / (one.getBoundingClientRect().width || Infinity));
  const scale = Math.min(Math.max(least, ...finest), most / Math.max(width, height));
  const fitted = (side) => Math.max(1, Math.round((side * scale) / step)) * step;
  [sheet.width, sheet.height] = [fitted(width), fitted(height)];
  compose(sheet, canvases);
  return sheet;
}

// Draw canvases into a sheet as they lie in the window.
function compose(sheet, canvases) {
  const box = around(canvases);
  const context = sheet.getContext("2d");
  const scale = Math.min(sheet.width / box.width, sheet.height / box.height);
  context.fillStyle = "#121317";
  context.fillRect(0, 0, sheet.width, sheet.height);
  // A window of another shape than the clip's lies in its middle.
  const left = (sheet.width - box.width * scale) / 2 - box.x * scale;
  const top = (sheet.height - box.height * scale) / 2 - box.y * scale;
  for (const canvas of canvases) {
    const { x, y, width, height } = canvas.getBoundingClientRect();
    context.drawImage(canvas, left + x * scale, top + y * scale, width * scale, height * scale);
  }
}

// The smallest box of the window around some canvases.
function around(canvases) {
  const boxes = canvases.map((canvas) => canvas.getBoundingClientRect());
  const [x, y] = ["left", "top"].map((side) => Math.min(...boxes.map((box) => box[side])));
  const [right, bottom] = ["right", "bottom"].map((side) => Math.max(...boxes.map((box) => box[side])));
  return { x, y, width: boxes.length && right - x, height: boxes.length && bottom - y };
}

// Offer a blob as a file of the present time; its name.
function download(blob, extension) {
  const link = document.createElement("a");
  link.download = `vmem-${stamp(new Date())}.${extension}`;
  link.href = URL.createObjectURL(blob);
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  return link.download;
}

function stamp(date) {
  const two = (number) => String(number).padStart(2, "0");
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("");
  return `${day}-${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join("")}`;
}
