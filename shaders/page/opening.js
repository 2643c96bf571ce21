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
  const latest = performance.now() + COMES_WITHIN;
  let until = latest;
  let came = false;
  root.classList.add("vmem-opening");
  // Who has a walk is shown that one, and not first the photo in which others begin (tab_key.js).
  const isNew = () => !sessionStorage.getItem("vmem-walk") && !localStorage.getItem("vmem-last-walk");
  try {
    root.classList.toggle("vmem-new", isNew());
  } catch {} // a browser without storage
  const timer = setInterval(() => {
    if (!came && document.querySelector('[role="tab"]')) {
      came = true;
      const isPhone = document.querySelector("[data-dock-group]") === null;
      if (isPhone) document.querySelector("svg.tabler-icon-cloud-check")?.parentElement.click();
      until = performance.now() + FOLDS_WITHIN;
    }
    const now = performance.now();
    const picture = window.__vmemFirstPerson;
    const isThere = picture && (!picture.isSeen || picture.drawn?.length);
    if (isThere || now > latest) root.classList.remove("vmem-new");
    if (now > until) root.classList.remove("vmem-opening");
    if (!root.matches(".vmem-new, .vmem-opening")) clearInterval(timer);
  }, 50);
}
