// A page opened from a folder may not read others, so its search shows titles alone.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// The arrows of the menu have no text; a screen reader needs a name for them.
for (const arrow of document.querySelectorAll(".bd-links summary")) {
  const page = arrow.closest("li").querySelector("a").textContent.trim();
  arrow.setAttribute("aria-label", `Pages below ${page}`);
}

// What is wider than the page scrolls, formulas and tables, and the keyboard has to reach it.
function reachable() {
  for (const wide of document.querySelectorAll("mjx-container, .bd-article div[style*='overflow-x']"))
    if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
}
addEventListener("load", () => {
  reachable();
  window.MathJax?.startup?.promise?.then(reachable);
});
addEventListener("resize", reachable);
