// Names, labels and numbers as people read them, and small pieces of the page.

const percents = new Intl.NumberFormat("en", { style: "percent" });
const fine = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat("en");

/** "5_o_Clock_Shadow" -> "5 o'Clock Shadow". */
export const readable = (name) => name.replaceAll("_", " ").replace(" o Clock", " o’Clock");

export const percent = (share) => (share === null ? "" : percents.format(share));
export const percentFine = (share) => (share === null ? "–" : fine.format(share));
export const number = (value) => whole.format(value);

/** A label as a correction spells it -> as people do. */
export const label = (is) => (is === "" ? "?" : is);

/** "0 → 1" where a row of the corrections says so, "✓" where it was found sound. */
export const mark = (row) =>
  !row ? "" : row.was === row.is ? "✓" : `${label(row.was)} → ${label(row.is)}`;

const named = (attribute) =>
  ({ split: "The split", image: "The image" })[attribute] ?? readable(attribute);

/** What was decided, or undone, in a sentence. */
export function outcome({ key, attribute, row }) {
  if (!row) return `${named(attribute)} of ${key}: as the source says, not looked at.`;
  if (row.was === row.is) return `${named(attribute)} of ${key}: sound.`;
  return `${named(attribute)} of ${key}: ${mark(row)}.`;
}

/** An element with properties and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Call `act` once nobody has asked for it for a while. */
export function settled(act, wait) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, wait);
  };
}
