// Formulas of the pages ($$ ... $$), which pymdownx.arithmatex has put between \[ and \].
for (const formula of document.querySelectorAll(".arithmatex")) {
  katex.render(formula.textContent.trim().slice(2, -2), formula, { displayMode: true });
}
