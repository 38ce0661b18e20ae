// The wall: rows of thumbnails, of which only those exist that are seen.
//
// Positions on the wall are cut into blocks of a sprite each. A block is fetched when it is seen,
// at most a few at a time, those in view before others; the least lately seen are given away.

import { getBlob, getJson } from "./api.js";
import { label, make, mark, percent, readable, settled } from "./words.js";

const PER_BLOCK = 100;
const MOST_BLOCKS = 24;
const AT_A_TIME = 4;
const TEXT = 34; // px below a thumbnail
const WIDEST = 118;
const BEYOND = 2; // rows that exist above and below those in view

/** The label in question of a sample: chosen by a digit, or the question's, or the first one. */
export const inQuestion = (row) =>
  row.labels.find(({ name }) => name === row.chosen) ?? row.labels[0];

export class Wall extends EventTarget {
  /** @param root the listbox; @param about what the server says of itself */
  constructor(root, about) {
    super();
    this.root = root;
    this.about = about;
    this.spacer = root.querySelector("#spacer");
    this.order = new Int32Array(0);
    this.question = "";
    this.by = "";
    this.blocks = new Map();
    this.tiles = new Map();
    this.spare = [];
    this.selected = -1;
    this.busy = 0;
    root.addEventListener("scroll", () => this.draw(), { passive: true });
    const stopped = settled(() => this.dispatchEvent(new Event("scrolled")), 150);
    root.addEventListener("scroll", stopped, { passive: true });
    root.addEventListener("click", (event) => {
      const tile = event.target.closest(".tile");
      if (tile) this.dispatchEvent(new CustomEvent("choose", { detail: tile.position }));
    });
    new ResizeObserver(() => this.resize()).observe(root);
  }

  /** Show samples in this order, `first` at the top. */
  show(order, question, by, first = 0) {
    this.order = order;
    this.question = question;
    this.by = by;
    for (const block of this.blocks.values()) this.release(block);
    this.blocks.clear();
    for (const position of [...this.tiles.keys()]) this.drop(position);
    this.selected = -1;
    this.measure();
    this.root.scrollTop = Math.floor(first / this.columns) * this.height;
    this.draw();
  }

  measure() {
    const width = this.root.clientWidth;
    this.columns = Math.max(1, Math.ceil(width / WIDEST));
    this.width = width / this.columns;
    this.height = Math.round(this.width + TEXT);
    this.spacer.style.height = `${Math.ceil(this.order.length / this.columns) * this.height}px`;
  }

  /** Another width: what stood at the top stays there. */
  resize() {
    const { columns, top } = this;
    this.measure();
    if (this.columns !== columns) {
      this.root.scrollTop = Math.floor(top / this.columns) * this.height;
    }
    for (const tile of this.tiles.values()) this.place(tile);
    this.draw();
    if (this.selected >= 0 && this.columns !== columns) this.reveal(this.selected);
  }

  /** The first position in view. */
  get top() {
    if (!this.height) return 0;
    return Math.min(
      Math.max(0, Math.ceil((this.root.scrollTop - 4) / this.height)) * this.columns,
      Math.max(0, this.order.length - 1),
    );
  }

  get inView() {
    return Math.max(1, Math.floor(this.root.clientHeight / this.height)) * this.columns;
  }

  draw() {
    if (!this.columns) return;
    const above = Math.floor(this.root.scrollTop / this.height);
    const below = Math.ceil((this.root.scrollTop + this.root.clientHeight) / this.height);
    const first = Math.max(0, above - BEYOND) * this.columns;
    const end = Math.min(this.order.length, (below + BEYOND) * this.columns);
    for (const position of [...this.tiles.keys()]) {
      if (position < first || position >= end) this.drop(position);
    }
    this.wanted = [];
    for (let b = Math.floor(first / PER_BLOCK); b * PER_BLOCK < end; b++) this.wanted.push(b);
    for (let position = first; position < end; position++) {
      if (!this.tiles.has(position)) this.add(position);
    }
    this.load();
  }

  add(position) {
    const tile =
      this.spare.pop() ??
      make("div", { className: "tile", role: "option" }, make("div", { className: "face" }), make("p"), make("i"));
    tile.position = position;
    tile.id = `tile-${position}`;
    tile.setAttribute("aria-posinset", position + 1);
    tile.setAttribute("aria-setsize", this.order.length);
    this.tiles.set(position, tile);
    this.place(tile);
    this.fill(tile);
    if (!tile.isConnected) this.spacer.append(tile);
  }

  place(tile) {
    const row = Math.floor(tile.position / this.columns), column = tile.position % this.columns;
    tile.style.transform = `translate(${column * this.width}px, ${row * this.height}px)`;
    tile.style.width = `${this.width}px`;
    tile.style.height = `${this.height}px`;
  }

  drop(position) {
    const tile = this.tiles.get(position);
    this.tiles.delete(position);
    tile.id = "";
    tile.remove();
    this.spare.push(tile);
  }

  /** Its picture and its text, as far as they are here. */
  fill(tile) {
    const { position } = tile;
    const block = this.blocks.get(Math.floor(position / PER_BLOCK));
    const [face, text, corner] = tile.children;
    const across = this.about.across, inside = position % PER_BLOCK;
    face.style.backgroundImage = block?.url ? `url(${block.url})` : "";
    face.style.backgroundSize = `${100 * across}%`;
    face.style.backgroundPosition =
      `${(100 * (inside % across)) / (across - 1)}% ${(100 * Math.floor(inside / across)) / (across - 1)}%`;
    const row = block?.rows?.[inside];
    tile.setAttribute("aria-selected", String(position === this.selected));
    tile.classList.toggle("selected", position === this.selected);
    tile.classList.toggle("dropped", Boolean(row?.dropped));
    const asked = row && inQuestion(row);
    text.replaceChildren();
    if (asked) {
      const answer = make("b", { className: `is${asked.is || "x"}` }, label(asked.is));
      const said = asked.probability === null ? "" : ` ${percent(asked.probability)}`;
      text.append(answer, said, make("br"), readable(asked.name));
    }
    corner.textContent = row ? this.corner(row, asked) : "";
    corner.hidden = !corner.textContent;
    tile.setAttribute("aria-label", row ? this.told(row, asked) : "loading");
  }

  corner(row, asked) {
    if (row.dropped) return "dropped";
    if (row.split !== row.came) return `→ ${row.split}`;
    return mark(asked?.row) || (row.changed ? `${row.changed} changed` : "");
  }

  told(row, asked) {
    const answer = { 0: "no", 1: "yes", "": "unknown" };
    const said = asked && `${readable(asked.name)}: ${answer[asked.is]}`;
    const model = asked?.probability == null ? "" : `, the model ${percent(asked.probability)}`;
    return `${row.key}${asked ? `, ${said}${model}` : ""} ${this.corner(row, asked)}`.trim();
  }

  /** What is known of the sample at a position, once it is here. */
  row(position) {
    return this.blocks.get(Math.floor(position / PER_BLOCK))?.rows?.[position % PER_BLOCK];
  }

  /** Draw a sample again, of which something has changed. */
  touch(id) {
    for (const tile of this.tiles.values()) if (this.order[tile.position] === id) this.fill(tile);
  }

  /** The row of a sample, if it is here. */
  rowOf(id) {
    for (const { rows } of this.blocks.values()) {
      const row = rows?.find((each) => each.id === id);
      if (row) return row;
    }
    return undefined;
  }

  // ---- Blocks

  load() {
    const middle = (this.wanted[0] + this.wanted.at(-1)) / 2;
    const next = this.wanted
      .filter((b) => !this.blocks.get(b) || this.blocks.get(b).stale)
      .sort((a, b) => Math.abs(a - middle) - Math.abs(b - middle));
    for (const b of next) {
      if (this.busy >= AT_A_TIME) return;
      this.fetch(b);
    }
    for (const b of this.wanted) {
      const block = this.blocks.get(b);
      if (block) this.blocks.delete(b), this.blocks.set(b, block); // the latest last
    }
    for (const b of [...this.blocks.keys()].slice(0, Math.max(0, this.blocks.size - MOST_BLOCKS))) {
      this.release(this.blocks.get(b));
      this.blocks.delete(b);
    }
  }

  async fetch(b) {
    const block = this.blocks.get(b) ?? {};
    block.stale = false;
    this.blocks.set(b, block);
    const ids = this.order.slice(b * PER_BLOCK, (b + 1) * PER_BLOCK).join();
    const drawn = () => {
      for (const tile of this.tiles.values()) {
        if (Math.floor(tile.position / PER_BLOCK) === b) this.fill(tile);
      }
    };
    this.busy++;
    try {
      const rows = getJson("api/rows", { ids, a: this.question, by: this.by }).then((found) => {
        const before = new Map(block.rows?.map((row) => [row.id, row.chosen]));
        // What was asked stays asked, though others may be more suspicious now.
        for (const row of found) row.chosen = before.get(row.id) ?? row.labels[0]?.name;
        block.rows = found;
        drawn();
        this.dispatchEvent(new Event("rows"));
      });
      if (!block.url) {
        const url = URL.createObjectURL(await getBlob("sprite", { ids, v: this.about.crops }));
        const image = new Image();
        image.src = url;
        await image.decode().catch(() => {});
        if (this.blocks.get(b) === block) block.url = url;
        else URL.revokeObjectURL(url);
        drawn();
      }
      await rows;
    } catch (error) {
      if (this.blocks.get(b) === block && !block.rows) this.blocks.delete(b);
      else block.stale = true;
      this.dispatchEvent(new CustomEvent("trouble", { detail: error }));
      return;
    } finally {
      this.busy--;
    }
    this.load();
  }

  release(block) {
    if (block.url) URL.revokeObjectURL(block.url);
    block.url = undefined;
  }

  /** Something has changed on the server: ask again for what is in view, the rest when it is. */
  refresh() {
    for (const block of this.blocks.values()) block.stale = true;
    if (this.wanted) this.load();
  }

  // ---- The selected sample

  select(position, reveal = true) {
    const before = this.tiles.get(this.selected);
    this.selected = position;
    if (before) this.fill(before);
    if (position < 0) {
      this.root.removeAttribute("aria-activedescendant");
      return;
    }
    if (reveal) this.reveal(position);
    this.draw();
    if (this.tiles.has(position)) this.fill(this.tiles.get(position));
    this.root.setAttribute("aria-activedescendant", `tile-${position}`);
  }

  reveal(position) {
    const top = Math.floor(position / this.columns) * this.height;
    const { scrollTop, clientHeight } = this.root;
    if (top < scrollTop) this.root.scrollTop = top;
    else if (top + this.height > scrollTop + clientHeight) {
      this.root.scrollTop = top + this.height - clientHeight;
    }
  }

  /** Where an arrow or the like leads from the selected sample; from outside the view, into it. */
  step(key) {
    const last = this.order.length - 1;
    const at = this.selected;
    const seen = this.tiles.has(at);
    const steps = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns,
      PageUp: -this.inView, PageDown: this.inView, Home: -Infinity, End: Infinity,
    };
    if (!(key in steps) || last < 0) return null;
    if ((at < 0 || !seen) && Math.abs(steps[key]) <= this.columns) return this.top;
    const to = (at < 0 ? this.top : at) + steps[key];
    if (Math.abs(steps[key]) === this.columns && (to < 0 || to > last)) return at;
    return Math.min(Math.max(to, 0), last);
  }

}
