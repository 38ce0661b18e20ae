// Below the wall: the attributes to ask about, each with its digit, and what can be decided.

import { label, make, mark, number, percent, readable } from "./words.js";
import { inQuestion } from "./wall.js";

const at = (id) => document.getElementById(id);
const ACTS = ["flip", "unknown", "sound"];

export class Footer {
  /** @param ask called with an attribute; @param decide with an act; @param undo */
  constructor(ask, decide, undo) {
    this.ask = ask;
    for (const act of ACTS) at(act).addEventListener("click", () => decide(act));
    at("undo").addEventListener("click", undo);
  }

  /** What was done, or why not. */
  say(text) {
    at("said").textContent = at("said").title = text;
  }

  /**
   * @param row what is known of a sample, if anything; @param place its place on the wall, or -1
   * @param stuck whether nothing can be decided; @param any whether something can be undone
   */
  show(row, place, stuck, any) {
    at("selected").textContent = row ? row.key + (place < 0 ? "" : ` · ${number(place + 1)}`) : "";
    const chosen = row && inQuestion(row)?.name;
    const buttons = (row?.labels ?? []).map((each, i) => {
      const said = each.probability === null ? "" : ` ${percent(each.probability)}`;
      const button = make("button", { className: "asked", name: each.name },
        make("kbd", {}, i + 1), ` ${readable(each.name)} `,
        make("b", { className: `is${each.is || "x"}` }, label(each.is)), said,
        make("span", { className: "mark" }, mark(each.row)));
      button.setAttribute("aria-pressed", String(each.name === chosen));
      button.addEventListener("click", () => this.ask(each.name));
      return button;
    });
    const held = at("asked").contains(document.activeElement) ? document.activeElement.name : "";
    at("asked").replaceChildren(...buttons);
    if (held) at("asked").querySelector(`[name="${held}"]`)?.focus();
    for (const act of ACTS) at(act).disabled = !row || stuck;
    at("undo").disabled = !any;
  }
}
