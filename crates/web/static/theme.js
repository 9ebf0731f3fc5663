// Runs before the first paint, so that a chosen theme never flashes the other one. Everything else is in app.js.
document.documentElement.classList.add("has-js");
try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is off: the system's choice stands.
}
