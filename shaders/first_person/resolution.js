// At what share of the window's pixels the picture is drawn: as fine as the page can in time, and whole
// at rest. No DOM, no clock of its own.
//
// It goes down as soon as frames are slow. What was too slow once is tried again only after a while,
// which doubles with every failure: so it never swings between two.

const SCALES = [0.35, 0.5, 0.7, 1];
const FRAMES = 6; // whose middle time counts
const SLOW_MS = 45; // from the beginning of one frame to that of the next
const QUICK_MS = 22; // a frame in time, on a screen of 50 Hz or more
const TRY_MS = 1500; // of quick frames before a finer scale is tried for the first time
const HURRIED_MS = 140; // between frames on a page that cannot keep up: views are made with the same cores
const REST_MS = 250; // without a move, after which he is at rest

class Resolution {
  constructor(level = 1) {
    this.level = level;
    this.waits = SCALES.map(() => TRY_MS); // before each level is tried
    this.recent = [];
    this.quick = 0; // ms of quick frames since the last change
    this.idle = 0; // ms without a move
  }

  // A frame has been drawn `ms` after the one before, both while he moved.
  moved(ms) {
    this.idle = 0;
    this.recent = [...this.recent, ms].slice(-FRAMES);
    if (this.recent.length < FRAMES) return;
    const middle = [...this.recent].sort((a, b) => a - b)[FRAMES >> 1];
    this.quick = middle < QUICK_MS ? this.quick + ms : 0;
    if (middle > SLOW_MS && this.level > 0) {
      this.waits[this.level] *= 2;
      this.change(this.level - 1);
    } else if (this.level < SCALES.length - 1 && this.quick > this.waits[this.level + 1]) {
      this.change(this.level + 1);
    }
  }

  // `ms` have gone by without a move. Whether this is the moment to draw again, at the whole scale.
  rested(ms) {
    const before = this.idle;
    this.idle += ms;
    this.recent = [];
    return before < REST_MS && this.idle >= REST_MS && this.level < SCALES.length - 1;
  }

  // Whether he moves, and the page is slow at any resolution.
  get isLeast() {
    return this.level === 0 && this.idle < REST_MS;
  }

  // Whether the next frame, `ms` after the last, is to wait.
  holds(ms) {
    return this.isLeast && ms < HURRIED_MS;
  }

  get scale() {
    return this.idle >= REST_MS ? 1 : SCALES[this.level];
  }

  change(level) {
    this.level = level;
    this.recent = [];
    this.quick = 0;
  }
}
