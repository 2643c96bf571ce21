// Words over a recorded scene, which has no panel: what is shown and what its colours mean.
// A function expression; Python calls it with `config`:
//   lines  strings; the first is the heading
//   bar    CSS colours from low to high, or an empty list
(config) => {
  const id = "vmem-caption";
  document.getElementById(id)?.remove();
  const box = document.createElement("div");
  box.id = id;
  box.style.cssText =
    "position:fixed;right:14px;bottom:14px;max-width:min(360px,60vw);padding:9px 12px;" +
    "border-radius:8px;background:rgba(18,19,23,.82);color:#e8e9ec;z-index:10;" +
    "font:12px/1.4 system-ui,sans-serif;pointer-events:none";
  config.lines.forEach((line, i) => {
    const row = document.createElement("div");
    row.textContent = line;
    if (i === 0) row.style.cssText = "font-weight:600;margin-bottom:3px";
    box.append(row);
  });
  if (config.bar.length) {
    const bar = document.createElement("div");
    bar.style.cssText = "height:8px;margin-top:7px;border-radius:4px";
    bar.style.background = `linear-gradient(to right,${config.bar.join(",")})`;
    box.append(bar);
  }
  document.body.append(box);
}
