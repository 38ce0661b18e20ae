// The page: joins the wall, the filters, the opened sample and the decisions, by keys and clicks.

import { Silent, getJson, getOrder } from "./api.js";
import { Decisions } from "./decisions.js";
import { Footer } from "./footer.js";
import { listenToKeys } from "./keys.js";
import { Panel } from "./panel.js";
import { State } from "./state.js";
import { Statistics } from "./statistics.js";
import { Toolbar } from "./toolbar.js";
import { Wall, inQuestion } from "./wall.js";
import { number, outcome, settled } from "./words.js";

const DIGITS = 9;
const LOOK = 1500; // ms between two looks whether somebody else has changed something
const at = (id) => document.getElementById(id);

let about = await getJson("api/about").catch((error) => {
  trouble("server", error.message);
  throw error;
});
const state = new State(about.where);
const wall = new Wall(at("wall"), about);
const panel = new Panel(at("sample"), about);
const statistics = new Statistics(at("statistics"), about, state);
const toolbar = new Toolbar(about, state);
const decisions = new Decisions();
const footer = new Footer(ask, decide, undo);

let shown = null; // the query that stands on the wall
let opened = ""; // the key of the sample in the panel
let aside = null; // that sample, where it is not on the wall
let version = null;
let fetching = new AbortController();

document.title = `${about.source} – dataset`;
at("source").textContent = about.source;

// ---- What is wrong, and what was done

const troubles = new Map();

function trouble(kind, sentence) {
  if (sentence) troubles.set(kind, sentence);
  else troubles.delete(kind);
  const text = [...troubles.values()].join(" ");
  if (at("trouble").textContent !== text) at("trouble").textContent = text;
  at("trouble").hidden = !text;
}

function failed(error) {
  if (error.name === "AbortError") return;
  if (error instanceof Silent) trouble("server", error.message);
  else trouble("query", error.message);
}

// ---- The wall

async function apply() {
  toolbar.show();
  const open = Boolean(state.get("statistics"));
  at("statistics").hidden = !open;
  at("statistics-button").setAttribute("aria-expanded", String(open));
  const query = JSON.stringify(state.query);
  if (query !== shown) await fill(query);
  else {
    statistics.draw();
    state.set({ at: wall.top || "" }, { quiet: true }); // Back changes the address, not the place
  }
  await open_(state.get("open"));
}

/** Filter and sort anew. */
async function fill(query = JSON.stringify(state.query)) {
  fetching.abort();
  fetching = new AbortController();
  const { signal } = fetching;
  document.body.classList.add("busy");
  const first = Number(state.get("at")) || 0;
  try {
    const [order] = await Promise.all([getOrder(state.query, signal), count(signal)]);
    shown = query;
    trouble("query", "");
    const selected = wall.selected >= 0 ? wall.order[wall.selected] : -1;
    wall.show(order, state.get("a"), state.get("sort"), Math.min(first, Math.max(0, order.length - 1)));
    const again = order.indexOf(selected);
    at("empty").hidden = order.length > 0;
    if (again >= 0 && state.get("open")) select(again);
    else select(order.length ? wall.top : -1, false);
  } catch (error) {
    if (error.name !== "AbortError") shown = "";
    failed(error);
  } finally {
    if (signal === fetching.signal) document.body.classList.remove("busy");
  }
}

async function count(signal) {
  const found = await getJson("api/statistics", state.filter, signal);
  statistics.show(found);
  const { wall: here, whole } = found;
  const moved = shown !== null && here.count !== wall.order.length && shown === JSON.stringify(state.query);
  at("count").textContent =
    here.count === whole.count ? number(whole.count) : `${number(here.count)} of ${number(whole.count)}`;
  if (moved) at("count").textContent += " now; r: again";
  trouble("corrections", found.version.trouble);
}

/**
 * The sample that keys and buttons are about: the selected one, though another may still be shown in
 * the panel; or the opened one, where it is not on the wall.
 */
const current = () => (aside ? rowFor(aside) : wall.row(wall.selected));

/** What the wall knows of an opened sample. */
function rowFor(sample) {
  const row = wall.rowOf(sample.id);
  if (row) return row;
  // It is not there: its own labels, as the wall would have them.
  const worth = (each) => each.suspicion ?? each.loss ?? -Infinity;
  const first = sample.labels.filter(({ name }) => name === state.get("a"));
  const rest = sample.labels.filter(({ name }) => name !== state.get("a"));
  const sorted = [...first, ...rest.sort((a, b) => worth(b) - worth(a))];
  const before = panel.sample?.id === sample.id ? panel.sample.own : null;
  sample.own ??= { chosen: before?.chosen, ...sample, labels: sorted.slice(0, DIGITS) };
  return sample.own;
}

function telling() {
  const row = current();
  const place = row && wall.order[wall.selected] === row.id ? wall.selected : -1;
  footer.show(row, place, troubles.has("corrections"), decisions.any);
}

function select(position, reveal = true) {
  aside = null;
  wall.select(position, reveal);
  telling();
}

// ---- One sample

async function open_(key) {
  if (!key) {
    opened = "";
    aside = null;
    panel.close();
    telling();
    return;
  }
  const fresh = key !== opened, from = wall.selected;
  opened = key;
  try {
    const sample = await getJson("api/sample", { key });
    if (opened !== key) return;
    if (wall.order[from] !== sample.id && wall.selected === from) {
      const position = wall.order.indexOf(sample.id);
      if (position < 0) aside = sample;
      else if (fresh) select(position);
    }
    tell(sample);
    telling();
  } catch (error) {
    failed(error);
    if (error instanceof Silent) return;
    aside = null;
    panel.close();
  }
}

/** Show a sample in the panel, with the digits that choose among its attributes. */
function tell(sample) {
  const row = rowFor(sample);
  panel.show(sample, inQuestion(row)?.name, row.labels.map(({ name }) => name));
}

function open(key, replace = false) {
  state.set({ open: key }, { replace });
}

/** Which attribute is in question, of this sample alone. */
function ask(name) {
  const row = current();
  if (!row) return;
  if (!row.labels.some((each) => each.name === name)) {
    const found = panel.sample?.id === row.id && panel.sample.labels.find((each) => each.name === name);
    if (!found) return;
    row.labels = [...row.labels.slice(0, DIGITS - 1), found];
  }
  row.chosen = name;
  wall.touch(row.id);
  if (panel.sample) tell(panel.sample);
  telling();
  at("sample").querySelector("[aria-pressed=true]")?.scrollIntoView({ block: "nearest" });
}

// ---- Decisions

const OTHER = { 1: "0", 0: "1", "": "1" };

/** Flip, unknown or sound: about the label in question. */
function decide(act) {
  const row = current(), label_ = row && inQuestion(row);
  if (!label_ || troubles.has("corrections")) return;
  const { name, is, row: before } = label_;
  const was = before ? before.was : is;
  const why = panel.why.value.trim();
  // Sound is what the source says, which a correction may have hidden.
  const now = { flip: OTHER[is], unknown: "", sound: was }[act];
  decisions.decide({ id: row.id, key: row.key, attribute: name, was, is: now, why, before });
  correct(row.id, name, { was, is: now, why }); // at once, before the server says so
  telling();
}

/** Show a label as a row of the corrections has it; none: as the source does. */
function correct(id, attribute, row) {
  const opened_ = panel.sample?.id === id ? panel.sample : null;
  for (const each of [wall.rowOf(id), opened_, opened_?.own]) {
    const its = each?.labels.find(({ name }) => name === attribute);
    if (its) Object.assign(its, { row, is: row ? row.is : its.row ? its.row.was : its.is });
  }
  wall.touch(id);
  if (panel.sample?.id === id) tell(panel.sample);
}

decisions.addEventListener("decided", ({ detail }) => {
  if (!decisions.isWaiting(detail)) correct(detail.id, detail.attribute, detail.row);
  footer.say(outcome(detail));
  changed();
});
decisions.addEventListener("undone", ({ detail }) => {
  correct(detail.id, detail.attribute, detail.row);
  const position = wall.order.indexOf(detail.id);
  if (position >= 0) {
    select(position);
    if (state.get("open")) open(detail.key, true);
  }
  footer.say(`Undone. ${outcome(detail)}`);
  changed();
});
decisions.addEventListener("refused", ({ detail }) => {
  footer.say(detail.error.message);
  look(true);
});
decisions.addEventListener("silent", ({ detail }) => trouble("server", detail.message));
decisions.addEventListener("change", telling);

// ---- What others do meanwhile

const changed = settled(() => look(true), 250);

async function look(all = false) {
  try {
    const found = await getJson("api/version");
    if (troubles.has("server")) wall.refresh(); // what was asked meanwhile was not answered
    trouble("server", "");
    trouble("corrections", found.trouble);
    const before = version;
    version = found;
    if (before && before.evidence !== found.evidence) {
      about = Object.assign(about, await getJson("api/about"));
      toolbar.show();
    }
    const same = before && before.corrections === found.corrections && before.evidence === found.evidence;
    if (!before || (same && !all)) return;
    wall.refresh();
    await count();
    if (opened) await open_(opened);
    telling();
  } catch (error) {
    failed(error);
  }
}

setInterval(() => document.visibilityState === "visible" && look(), LOOK);
addEventListener("focus", () => look());

// ---- Clicks and keys

wall.addEventListener("choose", ({ detail: position }) => {
  select(position, false);
  at("wall").focus({ preventScroll: true });
  const row = wall.row(position);
  if (row) open(row.key);
});
wall.addEventListener("rows", () => {
  // What waits to be written is not yet in what the server says.
  for (const { id, attribute, was, is, why } of decisions.waiting) {
    if (was !== undefined) correct(id, attribute, { was, is, why });
  }
  telling();
  if (panel.sample) tell(panel.sample);
});
wall.addEventListener("scrolled", () => state.set({ at: wall.top || "" }, { quiet: true }));
wall.addEventListener("trouble", ({ detail }) => failed(detail));
panel.addEventListener("close", () => open(""));
panel.addEventListener("open", ({ detail }) => open(detail));
panel.addEventListener("ask", ({ detail }) => ask(detail));
panel.addEventListener("identity", ({ detail }) => state.set({ identity: detail, at: "" }));
panel.addEventListener("decide", ({ detail }) => {
  const { id, key, rows } = panel.sample;
  const before = rows[detail.attribute] ?? null;
  decisions.decide({ id, key, ...detail, why: panel.why.value.trim(), before });
});
at("statistics-button").addEventListener("click", () => {
  state.set({ statistics: state.get("statistics") ? "" : "1" });
});
at("filters-button").addEventListener("click", () => {
  const folded = document.body.classList.toggle("filters-open");
  at("filters-button").setAttribute("aria-expanded", String(folded));
});

function undo() {
  if (!decisions.undo()) footer.say("There is nothing to undo.");
}

async function move(key) {
  const to = wall.step(key);
  if (to === null) return;
  select(to);
  if (!state.get("open")) return;
  const sample = wall.order[to];
  const key_ = wall.row(to)?.key ?? (await getJson("api/sample", { ids: sample })).key;
  if (wall.order[wall.selected] === sample) open(key_, true);
}

listenToKeys({
  f: () => decide("flip"),
  u: () => decide("unknown"),
  s: () => decide("sound"),
  z: undo,
  r: () => fill(),
  Enter: () => {
    const row = wall.row(wall.selected);
    if (row) open(row.key);
  },
  Escape: () => open(""),
  digit: (number) => {
    const name = current()?.labels[number - 1]?.name;
    if (name) ask(name);
  },
  move: (key) => move(key).catch(failed),
});

state.addEventListener("change", () => apply().catch(failed));
await look(); // first, so that nothing changes unseen
await apply();
at("wall").focus({ preventScroll: true });
document.body.dataset.ready = "";
