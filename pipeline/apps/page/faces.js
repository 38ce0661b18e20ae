// Every face of a picture, found twice: in the picture, and again in CelebA's frame, as
// pipeline/faces/find.py does it. A face is { score, centre, size, points, into }, in px.

import { apply, fit, inverse, sample, size, then } from "./similarity.js";

/** Points of a face in its mirror image. */
const MIRRORED = [1, 0, 2, 3, 5, 4];

export class Finder {
  /**
   * @param numbers those of numbers.json
   * @param short, full: the detectors, { side, run(pixels, count) -> { scores, faces } }
   */
  constructor(numbers, short, full) {
    Object.assign(this, { frame: numbers.frame, rules: numbers.find, flags: numbers.flags, short, full });
    const { width, height } = this.frame;
    this.square = { centre: [width / 2, height / 2], side: height, degrees: 0 };
    const middle = (k) => this.frame.points.reduce((sum, point) => sum + point[k] / 6, 0);
    this.halfATurn = { a: [-1, 0], b: [2 * middle(0), 2 * middle(1)] };
    this.corners = [[0, 0], [width, 0], [0, height], [width, height]];
  }

  /** The faces of a picture, the largest first. */
  async find(image) {
    if (!this.#isPicture(image)) return [];
    for (const windows of this.searches(image.width, image.height)) {
      const faces = await this.search(image, windows);
      if (faces.length) return faces;
    }
    return [];
  }

  /** Whether it is large enough, and no mere strip. */
  #isPicture({ width, height }) {
    const shorter = Math.min(width, height);
    return shorter >= this.rules.least_side && Math.max(width, height) <= shorter * this.rules.most_ratio;
  }

  /** The faces that some windows show; the first of them is looked at by both detectors. */
  async search(image, windows) {
    const found = [
      ...(await this.look(this.full, image, windows)),
      ...(await this.look(this.short, image, windows.slice(0, 1))),
    ];
    const faces = [];
    for (const { points } of merge(found, this.rules.overlap, this.rules.first)) {
      const face = await this.#upright(image, await this.settle(image, this.align(points)));
      if (face && !faces.some((other) => isSame(face, other))) faces.push(face);
    }
    return faces.sort((one, other) => other.size - one.size);
  }

  /** The face, or itself the other way round where that is seen better. */
  async #upright(image, face) {
    if (!face || face.score >= this.rules.sure) return face;
    const other = await this.settle(image, then(face.into, this.halfATurn));
    return other && other.score > face.score ? other : face;
  }

  /** The face that `into` brings into the frame roughly, there exactly; null: there is none. */
  async settle(image, into) {
    const { least_passes: least, most_passes: most } = this.rules;
    let face = null;
    for (let turn = 1; turn <= most; turn++) {
      const moved = (face = await this.lookAgain(image, into)) && this.#moved(into, face.into);
      if (!face || (turn >= least && moved < this.rules.settled)) break;
      into = face.into;
    }
    return face;
  }

  /** A face of a film, which was there in the picture before; null: it is not there any more. */
  async follow(image, into) {
    const face = await this.lookAgain(image, into);
    return face && this.#moved(into, face.into) >= this.rules.settled ? this.settle(image, face.into) : face;
  }

  /** How far the corners of the frame are from one alignment to the other, px of the frame. */
  #moved(one, other) {
    const change = then(inverse(one), other);
    return Math.max(...this.corners.map((corner) => {
      const [x, y] = apply(change, corner);
      return Math.hypot(x - corner[0], y - corner[1]);
    }));
  }

  /** The face in the frame, by the short-range detector; null: there is none. */
  async lookAgain(image, into) {
    const { side } = this.short;
    const onto = windowOnto(this.square, side);
    const { data } = sample(this.portrait(image, into), onto, side, side, true);
    const both = new Uint8Array(2 * data.length);
    both.set(data);
    mirror(data, side, both.subarray(data.length));
    const least = this.rules.again / 2;
    const [found, mirrored] = this.candidates(await this.short.run(both, 2), side, least)
      .map((each) => merge(each, this.rules.overlap, least)[0]);
    if (!found || !mirrored) return null;
    const score = (found.score + mirrored.score) / 2;
    if (score < this.rules.again) return null;
    const back = then(inverse(onto), inverse(into));
    const place = ([x, y], [u, v]) => apply(back, [(x + side - u) / 2, (y + v) / 2]);
    const points = MIRRORED.map((k, i) => place(found.points[i], mirrored.points[k]));
    return {
      score,
      centre: place(found.centre, mirrored.centre),
      size: ((found.size + mirrored.size) / 2) * size(back.a),
      points,
      into: this.align(points),
    };
  }

  align(points) {
    return fit(points, this.frame.points, this.frame.weights);
  }

  portrait(image, into) {
    return sample(image, into, this.frame.width, this.frame.height);
  }

  /** The centre square of the frame, in the picture: { centre, side, degrees clockwise }. */
  squareOf({ into }) {
    const { width, height } = this.frame, [x, y] = into.a;
    return {
      centre: apply(inverse(into), [width / 2, height / 2]),
      side: width / size(into.a),
      degrees: (-Math.atan2(y, x) * 180) / Math.PI,
    };
  }

  isSmall(face) {
    return size(face.into.a) > this.flags.small;
  }

  /** What a detector finds in windows of a picture, in its px. */
  async look(detector, image, windows) {
    const { side } = detector;
    const found = [];
    for (const window of windows) {
      const onto = windowOnto(window, side), back = inverse(onto);
      const { data } = sample(image, onto, side, side, true);
      const [some] = this.candidates(await detector.run(data, 1), side, this.rules.first);
      for (const { score, centre, size: length, points } of some) {
        found.push({
          score,
          centre: apply(back, centre),
          size: length * size(back.a),
          points: points.map((point) => apply(back, point)),
        });
      }
    }
    return found;
  }

  /** What scores at least `least` in each square, in its px. */
  candidates({ scores, faces, count }, side, least) {
    const each = scores.length / count;
    return Array.from({ length: count }, (_, n) => {
      const found = [];
      for (let i = n * each; i < (n + 1) * each; i++) {
        if (!(scores[i] >= least)) continue;
        const at = (k) => [faces[16 * i + 2 * k] * side, faces[16 * i + 2 * k + 1] * side];
        const [wide, high] = at(1);
        found.push({
          score: scores[i], centre: at(0), size: (wide + high) / 2, points: [2, 3, 4, 5, 6, 7].map(at),
        });
      }
      return found;
    });
  }

  /** Windows to look through, until something is found; the first of each is the largest. */
  *searches(width, height) {
    const longer = Math.max(width, height);
    const whole = { centre: [width / 2, height / 2], side: longer, degrees: 0 };
    const halves = parts(width, height, longer / 2);
    yield [whole, ...halves];
    for (const degrees of this.rules.turns) {
      yield [whole, ...halves].map((window) => ({ ...window, degrees }));
    }
    for (const cut of [4, 8, 16]) {
      if (longer / cut < this.rules.smallest_part) return;
      yield [whole, ...parts(width, height, longer / cut)];
    }
  }
}

/** From the picture onto a square of `side` px; a window that is turned finds turned faces. */
function windowOnto({ centre, side: length, degrees }, side) {
  const angle = (-degrees * Math.PI) / 180, scale = side / length;
  const a = [scale * Math.cos(angle), scale * Math.sin(angle)];
  const [x, y] = apply({ a, b: [0, 0] }, centre);
  return { a, b: [side / 2 - x, side / 2 - y] };
}

/** Squares that overlap by half at least. */
function parts(width, height, side) {
  return middles(height, side).flatMap((y) =>
    middles(width, side).map((x) => ({ centre: [x, y], side, degrees: 0 })));
}

function middles(length, side) {
  if (length <= side) return [length / 2];
  const steps = Math.ceil((length - side) / (side / 2));
  return Array.from({ length: steps + 1 }, (_, i) => side / 2 + ((length - side) * i) / steps);
}

/**
 * One face of the candidates that overlap: their mean by score over `least`, with the highest score.
 * The best come first.
 */
export function merge(found, overlap, least) {
  let left = [...found].sort((one, other) => other.score - one.score);
  const merged = [];
  while (left.length) {
    const [best] = left;
    const one = left.filter((other) => other === best || shared(best, other) >= overlap);
    left = left.filter((other) => !one.includes(other));
    const weights = one.map(({ score }) => score - least + 1e-6);
    const total = weights.reduce((sum, weight) => sum + weight);
    const mean = (of) => one.reduce((sum, each, i) => sum + (weights[i] / total) * of(each), 0);
    merged.push({
      score: best.score,
      centre: [mean((each) => each.centre[0]), mean((each) => each.centre[1])],
      size: mean((each) => each.size),
      points: best.points.map((_, k) => [mean((each) => each.points[k][0]), mean((each) => each.points[k][1])]),
    });
  }
  return merged;
}

/** The shared area over that of both, of upright squares. */
function shared(one, other) {
  const least = Math.min(one.size, other.size), middle = (one.size + other.size) / 2;
  const along = (k) => Math.min(Math.max(middle - Math.abs(one.centre[k] - other.centre[k]), 0), least);
  const both = along(0) * along(1);
  return both / (one.size ** 2 + other.size ** 2 - both);
}

function isSame(face, other) {
  const apart = Math.hypot(face.centre[0] - other.centre[0], face.centre[1] - other.centre[1]);
  return apart < Math.max(face.size, other.size) / 2;
}

function mirror(data, side, into) {
  for (let y = 0; y < side; y++) {
    for (let x = 0, from = 3 * y * side, to = from + 3 * (side - 1); x < side; x++, from += 3, to -= 3) {
      into[to] = data[from];
      into[to + 1] = data[from + 1];
      into[to + 2] = data[from + 2];
    }
  }
}
