// What the page shows is what its address says, so every state is a link.

const FILTERS = ["has", "not", "unknown", "split", "identity", "origin", "text", "where", "review"];
const SORTING = ["sort", "up", "a"];

/** Those of which a change is a step that the browser's Back undoes. */
const STEPS = [...FILTERS, ...SORTING, "statistics", "open"];

export class State extends EventTarget {
  /** @param {string} where the filter that the params ask for: it holds until another is chosen */
  constructor(where) {
    super();
    this.where = where;
    addEventListener("popstate", () => this.dispatchEvent(new Event("change")));
  }

  get fields() {
    return new URLSearchParams(location.search);
  }

  get(name) {
    return this.fields.get(name) ?? (name === "where" ? this.where : "");
  }

  list(name) {
    return this.get(name).split(",").filter(Boolean);
  }

  /** What the server filters by: without a question, unless that matters. */
  get filter() {
    const named = [...FILTERS, ...(this.get("review") ? ["a"] : [])];
    return Object.fromEntries(named.map((n) => [n, this.get(n)]).filter(([, v]) => v));
  }

  get query() {
    const named = [...FILTERS, ...SORTING];
    return Object.fromEntries(named.map((n) => [n, this.get(n)]).filter(([, v]) => v));
  }

  /** Change some fields. `quiet`: neither a step of the history, nor told to anybody. */
  set(changes, { quiet = false, replace = quiet } = {}) {
    const fields = this.fields;
    for (const [name, value] of Object.entries(changes)) {
      const usual = name === "where" ? this.where : "";
      if (String(value) === usual) fields.delete(name);
      else fields.set(name, value);
    }
    const text = String(fields).replaceAll("%2C", ",");
    if (text === String(this.fields).replaceAll("%2C", ",")) return;
    const step = !replace && STEPS.some((name) => name in changes);
    history[step ? "pushState" : "replaceState"](null, "", text ? `?${text}` : location.pathname);
    if (!quiet) this.dispatchEvent(new Event("change"));
  }
}
