// Where the walker's picture and viser's scene stand in the window.
// Leans on viser 1.1.1: window.__viserMutable (canvas, scene, requestRender, drainMessageQueue), and
// that its flat canvas for selections lies in the element that has the window's free part, beside that
// of the 3-D canvas.

const MESSAGES_MS = 30;

class Stage {
  // narrow: CSS pixels of width below which both do not fit side by side.
  constructor(narrow, onResize) {
    this.narrow = narrow;
    const { canvas, canvas2d } = window.__viserMutable;
    this.free = canvas2d.parentElement;
    this.scene = [...this.free.children].find((child) => child.contains(canvas));
    this.element = document.createElement("div");
    this.element.dataset.vmem = "first-person";
    this.element.style.cssText = "position:absolute;top:0;left:0;height:100%;z-index:1;display:none;overflow:hidden;touch-action:none;user-select:none";
    this.canvas = document.createElement("canvas");
    this.canvas.style.cssText = "position:absolute;inset:0;width:100%;height:100%";
    this.element.append(this.canvas);
    this.free.append(this.element);
    this.layout = "memory";
    this.draw = null; // viser's requestRender while it is paused
    this.observer = new ResizeObserver(() => { this.arrange(); onResize(); });
    this.observer.observe(this.free);
  }

  get size() {
    return [this.free.clientWidth, this.free.clientHeight];
  }

  // What is shown of "picture", "both", "memory": both only where there is room.
  get shown() {
    return this.layout === "both" && this.size[0] < this.narrow ? "picture" : this.layout;
  }

  show(layout) {
    this.layout = layout;
    this.arrange();
  }

  arrange() {
    const { shown, scene, element } = this;
    element.style.display = shown === "memory" ? "none" : "block";
    element.style.width = shown === "both" ? "50%" : "100%";
    scene.style.width = shown === "both" ? "50%" : "100%";
    scene.style.marginLeft = shown === "both" ? "50%" : "0";
    // Under the picture nothing of the scene is seen, and nothing of it is drawn.
    const viser = window.__viserMutable;
    if (viser?.scene) viser.scene.visible = shown !== "picture";
    this.pause(shown === "picture");
    viser?.requestRender?.();
  }

  // Viser takes its messages while it draws: paused, it is to take them now and then.
  pause(paused) {
    const viser = window.__viserMutable;
    if (!viser?.drainMessageQueue || paused === Boolean(this.draw)) return;
    if (paused) {
      this.draw = viser.requestRender;
      viser.requestRender = () => {};
      this.timer = setInterval(() => this.settle(), MESSAGES_MS);
    } else {
      clearInterval(this.timer);
      viser.requestRender = this.draw;
      this.draw = null;
    }
  }

  settle() {
    if (this.draw) window.__viserMutable?.drainMessageQueue?.();
  }

  dispose() {
    this.observer.disconnect();
    this.element.remove();
    this.show("memory");
  }
}
