// Turn, scale and shift a picture, as pipeline/faces/similarity.py does it.
//
// A similarity is z -> a z + b on complex numbers [x, y], px; the first pixel has its centre at
// [0.5, 0.5]. An image is { data, width, height, step }: `step` bytes a pixel, RGB first.

const times = ([x, y], [u, v]) => [x * u - y * v, x * v + y * u];
const plus = ([x, y], [u, v]) => [x + u, y + v];
const minus = ([x, y], [u, v]) => [x - u, y - v];

/** By which a whole number may be missed. */
const ROUNDING = 1e-9;

export const size = ([x, y]) => Math.hypot(x, y);

export const apply = ({ a, b }, point) => plus(times(a, point), b);

export function inverse({ a: [x, y], b }) {
  const square = x * x + y * y;
  const a = [x / square, -y / square];
  return { a, b: times([-a[0], -a[1]], b) };
}

/** `one` first, `other` after it. */
export const then = (one, other) => ({ a: times(other.a, one.a), b: apply(other, one.b) });

/** The similarity that brings `points` closest to `onto`, in weighted least squares. */
export function fit(points, onto, weights) {
  const total = weights.reduce((sum, weight) => sum + weight);
  const mean = (list) => list.reduce(([x, y], [u, v], i) =>
    [x + (weights[i] / total) * u, y + (weights[i] / total) * v], [0, 0]);
  const middle = mean(points), ontoMiddle = mean(onto);
  let spread = 0, a = [0, 0];
  points.forEach((point, i) => {
    const [x, y] = minus(point, middle), there = minus(onto[i], ontoMiddle);
    spread += weights[i] * (x * x + y * y);
    const [u, v] = times(there, [x, -y]);
    a = plus(a, [weights[i] * u, weights[i] * v]);
  });
  a = [a[0] / spread, a[1] / spread];
  return { a, b: minus(ontoMiddle, times(a, middle)) };
}

/**
 * The RGB picture of width x height onto which `to` brings the image.
 *
 * Where it shrinks, n x n pixels first become their mean (n: the whole part of how many px of the
 * image fall onto one), and each pixel is the mean of 2 x 2 points; where it grows it is one point.
 * Beyond the image its border is stretched, or all is black. Each step is rounded, as in Python.
 */
export function sample(image, to, width, height, black = false) {
  const shrink = 1 / size(to.a);
  const n = Math.max(1, Math.floor(shrink + ROUNDING));
  const each = shrink > 1 + ROUNDING ? 2 : 1;
  let back = inverse(to);
  let left = 0, top = 0, source = image;
  if (n > 1) {
    const corners = [[0, 0], [width, 0], [0, height], [width, height]].map((z) => apply(back, z));
    const [x, last] = span(corners.map(([u]) => u), image.width, n);
    const [y, lowest] = span(corners.map(([, v]) => v), image.height, n);
    source = blocks(image, n, x, y, last, lowest);
    [left, top] = [x, y];
    back = { a: back.a.map((v) => v / n), b: back.b.map((v) => v / n) };
  }
  const { data, step } = source;
  const across = source.width, down = source.height, line = across * step;
  const found = new Uint8Array(width * height * 3);
  const [ax, ay] = back.a.map((v) => v / each);
  const share = 1 / (each * each);
  for (let row = 0, out = 0; row < height; row++) {
    for (let column = 0; column < width; column++, out += 3) {
      let red = 0, green = 0, blue = 0;
      for (let j = 0; j < each; j++) {
        for (let i = 0; i < each; i++) {
          const u = column * each + i + 0.5, v = row * each + j + 0.5;
          // As 32 bits, for half way between two bytes a hair decides.
          const x = Math.fround(ax * u - ay * v + back.b[0] - left - 0.5);
          const y = Math.fround(ax * v + ay * u + back.b[1] - top - 0.5);
          let x0 = Math.floor(x), y0 = Math.floor(y);
          const right = x - x0, below = y - y0;
          let x1 = x0 + 1, y1 = y0 + 1;
          let w00 = (1 - right) * (1 - below), w10 = right * (1 - below);
          let w01 = (1 - right) * below, w11 = right * below;
          if (x0 < 0 || y0 < 0 || x1 >= across || y1 >= down) {
            if (black) {
              if (x0 < 0 || x0 >= across) w00 = w01 = 0;
              if (x1 < 0 || x1 >= across) w10 = w11 = 0;
              if (y0 < 0 || y0 >= down) w00 = w10 = 0;
              if (y1 < 0 || y1 >= down) w01 = w11 = 0;
            }
            x0 = x0 < 0 ? 0 : x0 >= across ? across - 1 : x0;
            x1 = x1 < 0 ? 0 : x1 >= across ? across - 1 : x1;
            y0 = y0 < 0 ? 0 : y0 >= down ? down - 1 : y0;
            y1 = y1 < 0 ? 0 : y1 >= down ? down - 1 : y1;
          }
          const p = y0 * line + x0 * step, q = y0 * line + x1 * step;
          const r = y1 * line + x0 * step, s = y1 * line + x1 * step;
          red += round(w00 * data[p] + w10 * data[q] + w01 * data[r] + w11 * data[s]);
          green += round(w00 * data[p + 1] + w10 * data[q + 1] + w01 * data[r + 1] + w11 * data[s + 1]);
          blue += round(w00 * data[p + 2] + w10 * data[q + 2] + w01 * data[r + 2] + w11 * data[s + 2]);
        }
      }
      found[out] = red * share + 0.5;
      found[out + 1] = green * share + 0.5;
      found[out + 2] = blue * share + 0.5;
    }
  }
  return { data: found, width, height, step: 3 };
}

/** Half way between two, to the even one, as OpenCV does but for means of four. */
function round(value) {
  const near = (value + 0.5) | 0;
  return near - value === 0.5 && near & 1 ? near - 1 : near;
}

/** The first and last of the blocks of n px that are needed for some places along an axis. */
function span(places, length, n) {
  const first = Math.min(Math.max(Math.floor(Math.min(...places) / n) - 2, 0), Math.floor((length - 1) / n));
  const last = Math.min(Math.floor(Math.max(...places) / n) + 3, Math.ceil(length / n));
  return [first, Math.max(last, first + 1)];
}

/** Means of n x n pixels: blocks from (left, top) up to (right, bottom); the border is stretched. */
function blocks({ data, width, height, step }, n, left, top, right, bottom) {
  const across = right - left, down = bottom - top;
  const means = new Uint8Array(across * down * 3);
  const sums = new Float64Array(across * 3);
  const share = 1 / (n * n);
  for (let row = 0, out = 0; row < down; row++) {
    sums.fill(0);
    for (let k = 0; k < n; k++) {
      const line = Math.min((top + row) * n + k, height - 1) * width * step;
      for (let column = 0, at = 0; column < across; column++, at += 3) {
        const from = (left + column) * n;
        let red = 0, green = 0, blue = 0;
        for (let x = from; x < from + n; x++) {
          const p = line + (x < width ? x : width - 1) * step;
          red += data[p];
          green += data[p + 1];
          blue += data[p + 2];
        }
        sums[at] += red;
        sums[at + 1] += green;
        sums[at + 2] += blue;
      }
    }
    for (let i = 0; i < sums.length; i++) {
      means[out++] = n === 2 ? (sums[i] + 2) >> 2 : round(sums[i] * share);
    }
  }
  return { data: means, width: across, height: down, step: 3 };
}
