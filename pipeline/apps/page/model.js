// The page's end of the worker.

export class Model {
  // The page's `?backend=` goes on to the worker.
  #worker = new Worker(new URL(`worker.js${location.search}`, import.meta.url), { type: "module" });
  #waiting = new Map();
  #count = 0;

  /** @param {(share: number) => void} progress hears of the share of the model that has come */
  constructor(progress) {
    /** Resolves to { card, backend }; rejects with a sentence for people. */
    this.ready = new Promise((resolve, reject) => {
      this.#worker.onmessage = ({ data }) => {
        if ("id" in data) this.#answer(data);
        else if ("loaded" in data) progress(data.loaded);
        else if ("card" in data) resolve(data);
        else reject(new Error(data.failed));
      };
      this.#worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error("This browser cannot start the model; use a current one."));
      };
    });
  }

  /**
   * Read the faces of an ImageBitmap, which is given away, or of a File. `live`: of a film, whose
   * nearest face is followed.
   * @returns {Promise<{faces: object[], light: number, width: number, height: number, ms: number}>}
   *   the largest face first, as the worker tells it; rejects with a sentence
   */
  read(picture, live = false) {
    return new Promise((resolve, reject) => {
      const id = this.#count++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, picture, live }, picture instanceof ImageBitmap ? [picture] : []);
    });
  }

  #answer({ id, failed, ...answer }) {
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (failed) reject(new Error(failed));
    else resolve(answer);
  }
}
