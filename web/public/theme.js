// Decides light or dark before the first paint. A file of its own, so that a strict content policy needs no exception.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    let chosen = null;
    try {
      chosen = localStorage.getItem("oxbow.theme");
    } catch {
      // Storage may be forbidden; the system's choice stands.
    }
    const theme = chosen === "light" || chosen === "dark" ? chosen : system.matches ? "dark" : "light";
    document.documentElement.dataset.theme = theme;
  };
  apply();
  system.addEventListener("change", apply);
})();
