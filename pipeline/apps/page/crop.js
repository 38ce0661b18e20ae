// A square picture scaled as the training crops were (pipeline/dataset/crops.py): by area where it
// shrinks, linearly where it grows. A canvas does neither the same way in every browser.

/**
 * Scale the square `rgb` of `side` x `side` pixels to `size` x `size`.
 * @param {Uint8Array} rgb 3 bytes a pixel, row by row
 * @returns {Uint8Array} RGB, 3 bytes a pixel, row by row
 */
export function scale(rgb, side, size) {
  const taps = tapsFor(side, size);
  const rows = new Float32Array(side * size * 3);
  for (let y = 0, out = 0; y < side; y++) {
    for (const { first, weights } of taps) {
      let red = 0, green = 0, blue = 0;
      for (let k = 0, at = 3 * (y * side + first); k < weights.length; k++, at += 3) {
        red += weights[k] * rgb[at];
        green += weights[k] * rgb[at + 1];
        blue += weights[k] * rgb[at + 2];
      }
      rows[out++] = red;
      rows[out++] = green;
      rows[out++] = blue;
    }
  }
  const width = size * 3;
  const line = new Float32Array(width);
  const pixels = new Uint8ClampedArray(size * width); // rounds to the nearest
  taps.forEach(({ first, weights }, y) => {
    line.fill(0);
    weights.forEach((weight, k) => {
      for (let x = 0, at = (first + k) * width; x < width; x++) line[x] += weight * rows[at + x];
    });
    pixels.set(line, y * width);
  });
  return new Uint8Array(pixels.buffer);
}

/** For each of `size` pixels along an axis: the first of `side` that it is made of, and shares. */
function tapsFor(side, size) {
  const ratio = side / size;
  return Array.from({ length: size }, (_, i) => {
    if (size < side) {
      const start = i * ratio, end = start + ratio;
      const first = Math.floor(start);
      const last = Math.min(Math.ceil(end - 1e-9), side);
      const cover = (at) => (Math.min(at + 1, end) - Math.max(at, start)) / ratio;
      return { first, weights: Float32Array.from({ length: last - first }, (_, k) => cover(first + k)) };
    }
    const centre = Math.min(Math.max((i + 0.5) * ratio - 0.5, 0), side - 1);
    const first = Math.floor(centre), share = centre - first;
    return { first, weights: Float32Array.from(share ? [1 - share, share] : [1]) };
  });
}
