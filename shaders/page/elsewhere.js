// Covers the page: its walk was opened elsewhere. A function expression; the button takes it back, by
// a reload, which keeps the tab's key. viser may connect again meanwhile: identity.js then says that
// this page shows no walk.
(config) => {
  if (window.__vmemTab) window.__vmemTab.elsewhere = true;
  document.getElementById("vmem-elsewhere")?.remove();
  const cover = document.createElement("div");
  cover.id = "vmem-elsewhere";
  cover.setAttribute("role", "alertdialog");
  const words = document.createElement("p");
  words.textContent = config.words;
  const back = document.createElement("button");
  back.textContent = config.back;
  back.addEventListener("click", () => location.reload());
  cover.append(words, back);
  document.body.append(cover);
  back.focus();
}
