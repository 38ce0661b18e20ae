// Pictures instead of a camera: chosen, or dropped one by one or as a folder.

import { Pills } from "./pills.js";
import { holding } from "./smoothing.js";

export class Pictures {
  #list;
  #count;
  #model;
  #done = 0;
  #all = 0;

  constructor(list, count, model) {
    this.#list = list;
    this.#count = count;
    this.#model = model;
  }

  /** Add a card for each file and fill it, one after the other. */
  async add(files) {
    this.#all += files.length;
    const cards = files.map((file) => new Card(file));
    this.#list.append(...cards.map((card) => card.item));
    this.#tell();
    const about = await this.#model.ready.then(({ card }) => card, (error) => {
      this.#count.textContent = error.message;
    });
    if (!about) return;
    for (const card of cards) {
      if (card.item.isConnected) await card.fill(this.#model, about);
      this.#done++;
      this.#tell();
    }
  }

  clear() {
    for (const image of this.#list.querySelectorAll("img")) URL.revokeObjectURL(image.src);
    this.#list.replaceChildren();
    this.#done = this.#all = 0;
  }

  #tell() {
    this.#count.textContent = this.#done < this.#all ? `${this.#done} of ${this.#all}` : `${this.#all}`;
  }
}

class Card {
  constructor(file) {
    this.file = file;
    this.item = document.createElement("li");
    this.item.className = "card";
    this.item.dataset.file = file.name;
    this.picture = this.item.appendChild(document.createElement("div"));
    this.picture.className = "picture";
    this.image = this.picture.appendChild(document.createElement("img"));
    this.image.alt = "";
    this.image.loading = "lazy";
    this.image.src = URL.createObjectURL(file);
    const name = this.item.appendChild(document.createElement("h2"));
    name.textContent = file.name;
  }

  async fill(model, about) {
    try {
      const { faces, width, height } = await model.read(this.file);
      faces.forEach((face, i) => this.#add(face, about, width, height, faces.length > 1 ? i + 1 : 0));
      if (!faces.length) this.#say("No face in this picture.");
      this.item.dataset.faces = JSON.stringify(faces.map(({ centre, size, probabilities }) =>
        ({ centre, size, probabilities: Array.from(probabilities) })));
    } catch (error) {
      this.picture.remove();
      this.#say(`${this.file.name}: ${error.message}`);
    }
  }

  /** A face's box and its row of pills; `number` 0: it is the only one. */
  #add({ centre, size, probabilities }, about, width, height, number) {
    const box = this.picture.appendChild(document.createElement("div"));
    box.className = "box";
    box.style.left = `${(100 * (centre[0] - size / 2)) / width}%`;
    box.style.top = `${(100 * (centre[1] - size / 2)) / height}%`;
    box.style.width = `${(100 * size) / width}%`;
    box.style.height = `${(100 * size) / height}%`;
    const list = document.createElement("ul");
    list.className = "pills";
    if (number) {
      box.textContent = number;
      const heading = this.item.appendChild(document.createElement("h3"));
      heading.textContent = `Face ${number}`;
    }
    list.setAttribute("aria-label", `Attributes of ${number ? `face ${number} of ` : ""}${this.file.name}`);
    this.item.append(list);
    new Pills(list, about).show(probabilities, holding(probabilities, about.thresholds.chosen));
  }

  #say(text) {
    const sentence = this.item.appendChild(document.createElement("p"));
    sentence.textContent = text;
  }
}

/** The files of a drop, folders within folders too, in the order of their names. */
export async function dropped(transfer) {
  const entries = Array.from(transfer.items, (item) => item.webkitGetAsEntry()).filter(Boolean);
  return (await Promise.all(entries.map((entry) => filesOf(entry, false)))).flat();
}

async function filesOf(entry, inFolder) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    // What lies in a folder beside its pictures was not meant.
    return inFolder && !file.type.startsWith("image/") ? [] : [file];
  }
  const reader = entry.createReader();
  const entries = [];
  for (let some; (some = await new Promise((r, e) => reader.readEntries(r, e))).length; ) {
    entries.push(...some); // browsers give a hundred at a time
  }
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  return (await Promise.all(entries.map((each) => filesOf(each, true)))).flat();
}
