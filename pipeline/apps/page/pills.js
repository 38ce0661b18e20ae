// Attributes as pills. A tap on one shows its probability and its region.

const percent = new Intl.NumberFormat("en", { style: "percent" });

/** "Wears_Hat" -> "Wears hat". */
const label = (name) =>
  name[0] + name.slice(1).replace(/_o_(?=[A-Z])/, " o’").replaceAll("_", " ").toLowerCase();

/** With `?all` in its address the page shows those too that the card hides or the model misses. */
const all = new URLSearchParams(location.search).has("all");

export class Pills {
  /** @param {HTMLUListElement} list; @param card the model's: `attributes`, `regions`, `hidden`, `missed` */
  constructor(list, card) {
    this.list = list;
    const hidden = new Set(all ? [] : [...(card.hidden ?? []), ...(card.missed ?? [])]);
    this.hidden = card.attributes.map((name) => hidden.has(name));
    this.pills = card.attributes.map((name) => {
      const region = Object.keys(card.regions).find((key) => card.regions[key].includes(name));
      return new Pill(name, region.replaceAll("_", " "));
    });
  }

  /** Show the attributes that hold, in the model's order; those that stay are not touched. */
  show(probabilities, shown) {
    let before = null;
    for (let i = this.pills.length - 1; i >= 0; i--) {
      const pill = this.pills[i];
      if (shown[i] && !this.hidden[i]) {
        pill.update(probabilities[i]);
        if (!pill.item.isConnected) this.list.insertBefore(pill.item, before);
        before = pill.item;
      } else {
        pill.item.remove();
      }
    }
  }

  clear() {
    this.list.replaceChildren();
  }
}

class Pill {
  constructor(name, region) {
    this.region = region;
    this.item = document.createElement("li");
    this.item.dataset.attribute = name;
    this.button = this.item.appendChild(document.createElement("button"));
    this.button.className = "pill";
    this.button.textContent = label(name);
    this.button.setAttribute("aria-expanded", "false");
    this.more = this.button.appendChild(document.createElement("span"));
    this.more.hidden = true;
    this.button.addEventListener("click", () => {
      this.more.hidden = !this.more.hidden;
      this.button.setAttribute("aria-expanded", String(!this.more.hidden));
    });
  }

  update(probability) {
    const text = `${percent.format(probability)}, ${this.region}`;
    if (this.more.textContent !== text) this.more.textContent = text;
  }
}
