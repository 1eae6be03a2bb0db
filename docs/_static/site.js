"use strict";
// A link to an entry opens the block that the entry is folded into; on paper every block is open.
function openTarget() {
  const id = decodeURIComponent(location.hash.slice(1));
  const target = id && document.getElementById(id);
  if (!target) return;
  let opened = false;
  for (let at = target; at; at = at.parentElement) {
    if (at.tagName === "DETAILS" && !at.open) opened = at.open = true;
  }
  if (opened) target.scrollIntoView();
}
addEventListener("hashchange", openTarget);
addEventListener("DOMContentLoaded", openTarget);
addEventListener("click", (event) => {
  if (event.target.closest?.('a[href*="#"]')) setTimeout(openTarget);
});
addEventListener("beforeprint", () => {
  for (const block of document.querySelectorAll("article details")) block.open = true;
});
