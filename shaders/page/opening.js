// Hides viser's own panel until ours is there (opening.css), and folds ours on a phone, where it would
// lie over the picture. Runs in the page's head, before viser. Where no panel comes, everything is
// shown after a while: viser then says what its connection does.
//
// Leans on viser 1.1.1: a panel's tabs by their ARIA role; its settings folding away when the first of
// our elements comes; the marks of its docks, which phones have none of; and a phone's panel folding
// by a click on the row with the icon of its connection.
{
  const FOLDS_WITHIN = 300; // milliseconds
  const COMES_WITHIN = 12_000;
  const root = document.documentElement;
  let until = performance.now() + COMES_WITHIN;
  let came = false;
  root.classList.add("vmem-opening");
  const timer = setInterval(() => {
    if (!came && document.querySelector('[role="tab"]')) {
      came = true;
      const isPhone = document.querySelector("[data-dock-group]") === null;
      if (isPhone) document.querySelector("svg.tabler-icon-cloud-check")?.parentElement.click();
      until = performance.now() + FOLDS_WITHIN;
    }
    if (performance.now() < until) return;
    clearInterval(timer);
    root.classList.remove("vmem-opening");
  }, 50);
}
