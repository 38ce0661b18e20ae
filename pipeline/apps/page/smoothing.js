// From probabilities to what is shown: averaged over a moment, and slow to take back.

/** Seconds in which the average forgets two thirds of what was. */
const MEMORY = 0.25;

/** An attribute that is shown stays until its logit is this far under its threshold's. */
const GRIP = 0.4;

const logit = (p) => Math.log(p / (1 - p));

/** Which attributes hold in a still picture: those whose probability reaches their threshold. */
export function holding(probabilities, thresholds) {
  return Array.from(probabilities, (p, i) => p >= thresholds[i]);
}

export class Smoothing {
  /** @param {number[]} thresholds one an attribute, 0 to 1 */
  constructor(thresholds) {
    this.thresholds = thresholds;
    this.forget();
  }

  /** Begin anew: the next frame is taken as it is. */
  forget() {
    this.probabilities = null;
    this.shown = this.thresholds.map(() => false);
  }

  /**
   * Take in the answer to a frame that came `seconds` after the one before.
   * @returns {{probabilities: number[], shown: boolean[]}}
   */
  update(answer, seconds) {
    const keep = this.probabilities ? Math.exp(-seconds / MEMORY) : 0;
    this.probabilities = Array.from(answer, (p, i) =>
      keep ? keep * this.probabilities[i] + (1 - keep) * p : p);
    this.shown = this.probabilities.map((p, i) =>
      p >= this.thresholds[i] || (this.shown[i] && logit(p) > logit(this.thresholds[i]) - GRIP));
    return { probabilities: this.probabilities, shown: this.shown };
  }
}
