// One sample, opened: its crop, all labels by region, what the model says, twins, split.

import { label, make, mark, number, percent, readable } from "./words.js";

export class Panel extends EventTarget {
  constructor(root, about) {
    super();
    this.root = root;
    this.about = about;
    this.why = make("input", {
      id: "why", maxLength: 500, autocomplete: "off", placeholder: "kept with each decision",
      value: sessionStorage.getItem("why") ?? "",
    });
    this.why.addEventListener("input", () => sessionStorage.setItem("why", this.why.value));
  }

  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  close() {
    this.sample = null;
    this.root.hidden = true;
    this.root.replaceChildren();
  }

  /**
   * @param sample all that the server knows of it; @param asked the attribute in question
   * @param digits the attributes that a digit each chooses
   */
  show(sample, asked, digits) {
    const again = this.sample?.id === sample.id;
    const scroll = again ? this.root.scrollTop : 0;
    const held = this.root.contains(document.activeElement) ? document.activeElement : null;
    const focused = held && { id: held.id, name: held.name };
    this.sample = sample;
    this.root.hidden = false;
    const close = make("button", { className: "quiet", id: "close", title: "Close (Escape)" }, "×");
    close.setAttribute("aria-label", "Close");
    close.addEventListener("click", () => this.emit("close"));
    const picture = again ? this.picture : this.draw(sample);
    this.picture = picture;
    const numbers = new Map(digits.map((name, i) => [name, i + 1]));
    this.root.replaceChildren(
      make("div", { className: "title" }, make("h2", {}, sample.key), close),
      make("div", { className: "top" }, picture, this.facts(sample)),
      ...this.twins(sample),
      make("label", { className: "why" }, "Why ", this.why),
      ...this.unpredicted(sample),
      ...this.labels(sample, asked, numbers),
    );
    this.root.scrollTop = scroll;
    if (focused?.id) document.getElementById(focused.id)?.focus();
    else if (focused?.name) this.root.querySelector(`[name="${focused.name}"]`)?.focus();
  }

  draw(sample) {
    const image = make("img", { alt: `The crop ${sample.key}`, width: 192, height: 192 });
    image.src = `crop?ids=${sample.id}&v=${this.about.crops}`;
    image.addEventListener("error", async () => {
      const told = await fetch(image.src).then((answer) => answer.json()).catch(() => ({}));
      image.replaceWith(make("p", { className: "damaged" }, told.error ?? "The crop cannot be read."));
    });
    return make("div", { className: "picture" }, image);
  }

  facts(sample) {
    const fact = (name, ...value) => [make("dt", {}, name), make("dd", {}, ...value)];
    const split = make("select", { id: "move" });
    for (const name of ["train", "valid", "test"]) {
      split.append(make("option", { value: name, selected: name === sample.split }, name));
    }
    split.setAttribute("aria-label", "Split");
    split.addEventListener("change", () => {
      this.emit("decide", { attribute: "split", is: split.value });
    });
    const drop = make("button", { className: "plain", id: "drop" },
      sample.dropped ? "Keep the image" : "Drop the image");
    drop.addEventListener("click", () => {
      this.emit("decide", { attribute: "image", is: sample.dropped ? "keep" : "drop" });
    });
    const list = make("dl", {}, ...fact("Split", split));
    if (sample.split !== sample.came) list.append(...fact("came as", sample.came));
    if (sample.identity !== null) {
      const all = make("button", { className: "link", name: "identity" },
        `${sample.identity}, ${number(sample.same)} images`);
      all.addEventListener("click", () => this.emit("identity", sample.identity));
      list.append(...fact("Identity", all));
    }
    if (sample.origin !== null) list.append(...fact("Origin", sample.origin));
    if (sample.size !== null) list.append(...fact("Size", `${sample.size} px`));
    return make("div", { className: "facts" }, list, drop,
      ...(sample.dropped ? [make("p", { className: "warn" }, "This image is dropped.")] : []));
  }

  twins(sample) {
    const missing = this.about.missing.twins;
    if (missing) return [make("p", { className: "soft" }, missing)];
    if (!sample.twins.length) return [];
    const items = sample.twins.map((twin) => {
      const image = make("img", { alt: "", width: 72, height: 72 });
      image.src = `crop?ids=${twin.id}&v=${this.about.crops}`;
      const kind = twin.kind === "exact" ? "equal" : `${twin.distance} bits apart`;
      const other = make("button", { className: "twin", name: twin.key }, image,
        make("span", {}, `${twin.key}, ${twin.split}`, make("br"), kind, twin.dropped ? ", dropped" : ""));
      other.addEventListener("click", () => this.emit("open", twin.key));
      return make("li", {}, other);
    });
    return [make("h3", {}, "The same picture"), make("ul", { className: "twins" }, ...items)];
  }

  /** Why there are no probabilities. */
  unpredicted(sample) {
    if (sample.labels.some(({ probability }) => probability !== null)) return [];
    const { predicted, missing } = this.about;
    const why = missing.predictions ??
      `No predictions: the network was asked about ${predicted.join(" and ")} (data/evaluation).`;
    return [make("p", { className: "soft" }, why)];
  }

  *labels(sample, asked, numbers) {
    let region = "";
    const regions = new Map(this.about.attributes.map(({ name, region: its }) => [name, its]));
    for (const each of sample.labels) {
      const its = regions.get(each.name);
      if (its !== region) yield make("h3", {}, (region = its).replaceAll("_", " "));
      const answer = make("b", { className: `is${each.is || "x"}` }, label(each.is));
      const bar = make("span", { className: "bars" }, make("i"));
      bar.firstChild.style.width = `${100 * (each.probability ?? 0)}%`;
      const digit = numbers.get(each.name);
      const row = make("button", { className: "label-row", name: each.name },
        make("kbd", { hidden: !digit }, digit ?? ""),
        make("span", { className: "name" }, readable(each.name)),
        make("span", { className: "mark", title: each.row?.why ?? "" }, mark(each.row)),
        answer,
        make("span", { className: "share" }, percent(each.probability)),
        make("span", { className: "share soft", title: "How likely the label is wrong" },
          each.suspicion === null ? "" : percent(each.suspicion)),
        bar);
      row.setAttribute("aria-pressed", String(each.name === asked));
      row.addEventListener("click", () => this.emit("ask", each.name));
      yield row;
    }
  }
}
