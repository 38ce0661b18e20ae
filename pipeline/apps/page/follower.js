// The nearest face of a film: looked for where it was, and now and then everywhere.

/** After so many pictures a nearer face is looked for. */
const AGAIN_AFTER = 30;

/** A face must be so much larger than the one that is followed to take its place. */
const NEARER = 1.3;

export class Follower {
  #face = null;
  #count = 0;
  #searches = null;

  constructor(finder) {
    this.finder = finder;
  }

  /** The nearest face of the next picture, or none: a list as `Finder.find` gives it. */
  async find(image) {
    this.#count++;
    if (this.#face) {
      this.#face = await this.finder.follow(image, this.#face.into);
      if (this.#face && this.#count % AGAIN_AFTER) return [this.#face];
    }
    // One search a picture, so that the page hears of every one: first the usual one, and while
    // nothing is found turned windows and small parts.
    let next = this.#face ? null : this.#searches?.next();
    if (!next || next.done) {
      this.#searches = this.finder.searches(image.width, image.height);
      next = this.#searches.next();
    }
    const [nearest] = await this.finder.search(image, next.value);
    if (nearest && !(nearest.size < NEARER * (this.#face?.size ?? 0))) {
      this.#face = nearest;
      this.#searches = null;
    }
    return this.#face ? [this.#face] : [];
  }
}
