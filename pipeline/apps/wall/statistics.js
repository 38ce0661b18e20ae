// How frequent each attribute is on the wall and among all samples; a click filters by it.

import { make, number, percentFine, readable } from "./words.js";

/** What a click makes of a filter: none, has, has not, unknown, none. */
const NEXT = { "": "has", has: "not", not: "unknown", unknown: "" };
export const SIGN = { has: "has", not: "has not", unknown: "unknown" };

/** By which list of the filters an attribute is filtered. */
export const listOf = (state, name) =>
  Object.keys(SIGN).find((list) => state.list(list).includes(name)) ?? "";

/** Filter by an attribute: `list` is has, not, unknown, or nothing for not at all. */
export function filterBy(state, name, list) {
  const changes = {};
  for (const each of Object.keys(SIGN)) {
    const names = state.list(each).filter((other) => other !== name);
    if (each === list) names.push(name);
    changes[each] = names.join(",");
  }
  state.set({ ...changes, at: "" });
}

export class Statistics {
  constructor(root, about, state) {
    this.root = root;
    this.about = about;
    this.state = state;
  }

  /** @param found what the server says; nothing is drawn while nobody looks */
  show(found) {
    this.found = found;
    this.draw();
  }

  draw() {
    if (this.root.hidden || !this.found) return;
    const focused = this.root.contains(document.activeElement) ? document.activeElement.name : "";
    const { wall, whole, dropped } = this.found;
    const parts = [
      make("h2", {}, "Statistics"),
      make("p", { className: "soft" },
        `${number(wall.count)} on the wall of ${number(whole.count)} samples` +
        (dropped ? `; ${number(dropped)} dropped` : "") +
        ". Share that has an attribute: here, and among all. A click filters."),
    ];
    let region = "";
    this.about.attributes.forEach(({ name, region: its, says }, i) => {
      if (its !== region) parts.push(make("h3", {}, (region = its).replaceAll("_", " ")));
      const share = (counts) => (counts.known[i] ? counts.positives[i] / counts.known[i] : null);
      const here = share(wall), all = share(whole);
      const list = listOf(this.state, name);
      const unknown = wall.count - wall.known[i];
      const row = make("button", { className: "bar-row", name, title: says ?? "" },
        make("span", { className: "name" }, readable(name)),
        make("span", { className: "sign" }, list ? SIGN[list] : unknown ? `${number(unknown)} ?` : ""),
        make("span", { className: "share" }, percentFine(here)),
        make("span", { className: "share soft" }, percentFine(all)),
        make("span", { className: "bars" }, make("i"), make("i")));
      row.dataset.list = list;
      row.setAttribute("aria-label",
        `${readable(name)}: ${percentFine(here)} here, ${percentFine(all)} of all` +
        (list ? `; filtered: ${SIGN[list]}` : ""));
      const [one, other] = row.lastChild.children;
      one.style.width = `${100 * (here ?? 0)}%`;
      other.style.left = `${100 * (all ?? 0)}%`;
      row.addEventListener("click", () => filterBy(this.state, name, NEXT[list]));
      parts.push(row);
    });
    this.root.replaceChildren(...parts);
    if (focused) this.root.querySelector(`[name="${CSS.escape(focused)}"]`)?.focus();
  }
}
