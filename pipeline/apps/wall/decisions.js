// Decisions of this window. They wait in the session's storage until the server has written them,
// and what was written can be undone, so neither a reload nor a server that was killed loses any.

import { Refused, post } from "./api.js";

const AGAIN = 1000; // ms until a silent server is tried again
const MOST_UNDONE = 1000;

const stored = (name) => JSON.parse(sessionStorage.getItem(name) ?? "[]");

export class Decisions extends EventTarget {
  constructor() {
    super();
    this.waiting = stored("waiting");
    this.done = stored("done");
    this.running = false;
    if (this.waiting.length) this.run();
  }

  keep() {
    this.done = this.done.slice(-MOST_UNDONE);
    sessionStorage.setItem("waiting", JSON.stringify(this.waiting));
    sessionStorage.setItem("done", JSON.stringify(this.done));
    this.dispatchEvent(new Event("change"));
  }

  /** Whether there is something to undo. */
  get any() {
    return Boolean(this.done.length || this.waiting.length);
  }

  isWaiting({ id, attribute }) {
    return this.waiting.some((each) => each.id === id && each.attribute === attribute);
  }

  /**
   * @param decision `id`, `key`, `attribute`, what it `is` and `why`; `before`: the row of the
   * corrections as the page knows it, or null; for a label also what it `was`
   */
  decide(decision) {
    this.waiting.push(decision);
    this.keep();
    this.run();
  }

  undo() {
    const undoing = this.waiting.filter(({ undo }) => undo).length;
    const deciding = this.waiting.length - undoing;
    if (this.done.length + deciding <= undoing) return false;
    this.waiting.push({ undo: true });
    this.keep();
    this.run();
    return true;
  }

  async run() {
    if (this.running) return;
    this.running = true;
    while (this.waiting.length) {
      const [first] = this.waiting;
      try {
        const event = first.undo ? await this.takeBack() : await this.write(first);
        this.waiting.shift();
        this.keep();
        if (event) this.dispatchEvent(event);
      } catch (error) {
        if (error instanceof Refused) {
          if (first.undo) this.done.pop(); // it cannot be undone any more
          this.waiting.shift();
          this.keep();
          this.dispatchEvent(new CustomEvent("refused", { detail: { error, asked: first } }));
        } else {
          this.dispatchEvent(new CustomEvent("silent", { detail: error }));
          await new Promise((go) => setTimeout(go, AGAIN));
        }
      }
    }
    this.running = false;
  }

  async write({ id, key, attribute, is, why, before }) {
    const told = await post("api/decide", { key, attribute, is, why });
    // Where an answer was lost and we ask again, the server finds our own row.
    const same = JSON.stringify(told.before) === JSON.stringify(told.row);
    const row = same ? before : told.before;
    if (!same || JSON.stringify(before) !== JSON.stringify(told.row)) {
      this.done.push({ id, key, attribute, row, mine: told.row });
    }
    return new CustomEvent("decided", { detail: { id, key, attribute, row: told.row } });
  }

  async takeBack() {
    const last = this.done.at(-1);
    if (!last) return null;
    const { id, key, attribute, row, mine } = last;
    const told = await post("api/undo", { key, attribute, row, mine });
    this.done.pop();
    return new CustomEvent("undone", { detail: { id, key, attribute, row: told.row } });
  }
}
