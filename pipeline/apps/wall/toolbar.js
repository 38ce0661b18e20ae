// The filters above the wall: they show what the address says, and change it.

import { SIGN, filterBy, listOf } from "./statistics.js";
import { make, readable, settled } from "./words.js";

const CHOICES = ["sort", "split", "review", "origin"];
const TEXTS = ["text", "identity", "where"];

export class Toolbar {
  constructor(about, state) {
    this.about = about;
    this.state = state;
    this.form = document.getElementById("filters");
    const at = (name) => document.getElementById(name);
    this.at = at;
    const option = (value, text) => make("option", { value }, text);
    const attributes = () => about.attributes.map(({ name }) => option(name, readable(name)));
    at("question").append(option("", "Most suspicious"), ...attributes());
    at("add").append(option("", "Add a filter"), ...attributes());
    at("split").append(option("", "All"), ...about.splits.map((split) => option(split, split)));
    at("origin").append(option("", "All"), ...about.origins.map((part) => option(part, part)));
    at("origin-label").hidden = !about.origins.length;
    at("identity-label").hidden = !about.identities;

    this.form.addEventListener("submit", (event) => event.preventDefault());
    at("question").addEventListener("change", (event) => {
      const lone = !event.target.value && state.get("sort") === "prediction";
      state.set({ a: event.target.value, ...(lone ? { sort: "" } : {}) });
    });
    for (const name of CHOICES) {
      at(name).addEventListener("change", (event) => state.set({ [name]: event.target.value, at: "" }));
    }
    for (const name of TEXTS) {
      const typed = () => state.set({ [name]: at(name).value.trim(), at: "" });
      at(name).addEventListener("change", typed);
      if (name !== "where") at(name).addEventListener("input", settled(typed, 400));
    }
    at("up").addEventListener("click", () => state.set({ up: state.get("up") ? "" : "1", at: "" }));
    at("add").addEventListener("change", (event) => {
      if (event.target.value) filterBy(state, event.target.value, "has");
      event.target.value = "";
    });
  }

  show() {
    const { at, state, about } = this;
    at("question").value = state.get("a");
    for (const name of CHOICES) at(name).value = state.get(name);
    for (const name of TEXTS) {
      if (at(name).value.trim() !== state.get(name)) at(name).value = state.get(name);
    }
    at("up").setAttribute("aria-pressed", String(Boolean(state.get("up"))));
    const needs = { suspicion: "suspicion", loss: "predictions", prediction: "predictions" };
    for (const each of at("sort").options) {
      const why = about.missing[needs[each.value]];
      const asks = each.value === "prediction" && !state.get("a");
      each.disabled = Boolean(why) || asks;
      each.title = why ?? (asks ? "Choose a question first." : "");
    }
    const missing = Object.entries(about.missing);
    at("missing").hidden = !missing.length;
    const listed = missing.map(([what]) => what).join(", ");
    at("missing").replaceChildren(
      make("summary", {}, `Missing: ${listed}`), ...missing.map(([, why]) => make("p", {}, why)));
    at("chips").replaceChildren(...this.chips());
  }

  *chips() {
    const next = { has: "not", not: "unknown", unknown: "has" };
    const names = Object.keys(SIGN).flatMap((list) => this.state.list(list));
    for (const name of [...new Set(names)]) {
      const list = listOf(this.state, name);
      const turn = make("button", { type: "button", title: "Has, has not, unknown" },
        make("b", {}, SIGN[list]), ` ${readable(name)}`);
      turn.addEventListener("click", () => filterBy(this.state, name, next[list]));
      const off = make("button", { type: "button", title: "Take away" }, "×");
      off.setAttribute("aria-label", `Do not filter by ${readable(name)}`);
      off.addEventListener("click", () => filterBy(this.state, name, ""));
      yield make("li", { className: `chip ${list}` }, turn, off);
    }
  }
}
