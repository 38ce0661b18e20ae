// The keys: all of the page can be done with them. Who types into a field does nothing else.

const at = (id) => document.getElementById(id);

const PLACES = { a: "question", "/": "text", w: "wall" };

/**
 * @param {Record<string, Function>} acts a function for each key; `digit` gets 1 to 9, `move` the
 * name of an arrow or the like
 */
export function listenToKeys(acts) {
  const toWall = () => at("wall").focus({ preventScroll: true });

  at("keys-button").addEventListener("click", () => at("keys").showModal());
  at("keys-close").addEventListener("click", () => at("keys").close());
  at("keys").addEventListener("close", toWall);

  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || at("keys").open) return;
    const typing = target.matches("input, select, textarea");
    if (key === "Escape") {
      if (!typing) acts.Escape();
      toWall();
    } else if (typing) {
      return;
    } else if (/^[1-9]$/.test(key)) {
      acts.digit(Number(key));
    } else if (/^(Arrow|Page|Home$|End$)/.test(key)) {
      if (!target.closest("aside")) toWall();
      else if (!key.startsWith("Arrow")) return; // which scroll what is opened
      acts.move(key);
    } else if (key === "?") {
      at("keys").showModal();
    } else if (PLACES[key]) {
      at(PLACES[key]).focus();
    } else if (/^(f|u|s|z|r|Enter)$/.test(key) && !(key === "Enter" && target.matches("button, summary"))) {
      acts[key]();
    } else {
      return;
    }
    event.preventDefault();
  });
}
