// What the circle shows: the whole of the camera's picture, or the nearest face in its middle.

/** How much wider the circle is than the square that the model reads: it goes around it. */
const AROUND = Math.SQRT2;

/** The circle shows no less than this share of the picture's shorter side. */
const CLOSEST = 0.35;

export class View {
  /** @param {HTMLVideoElement} video; @param {HTMLElement} frame the square that the model reads */
  constructor(video, frame) {
    this.video = video;
    this.frame = frame;
  }

  /** Bring a face, as the worker tells it, into the middle; null: show the whole. */
  follow(face, { width, height }, mirrored) {
    const shorter = Math.min(width, height);
    let side = shorter, centre = [width / 2, height / 2];
    if (face) {
      side = Math.min(Math.max(AROUND * face.square.side, CLOSEST * shorter), shorter);
      const inside = (at, length) => Math.min(Math.max(at, side / 2), length - side / 2);
      centre = [inside(face.square.centre[0], width), inside(face.square.centre[1], height)];
    }
    // The video, unzoomed, is as high or wide as the circle along its shorter side.
    const zoom = shorter / side, flip = mirrored ? -1 : 1;
    const x = (100 * zoom * (width / 2 - centre[0])) / width;
    const y = (100 * zoom * (height / 2 - centre[1])) / height;
    this.video.style.width = `${(100 * width) / shorter}%`;
    this.video.style.height = `${(100 * height) / shorter}%`;
    this.video.style.transform =
      `translate(-50%, -50%) translate(${flip * x}%, ${y}%) scale(${flip * zoom}, ${zoom})`;
    this.frame.hidden = !face;
    if (!face) return;
    const off = face.square.centre.map((at, k) => ((at - centre[k]) / side) * 100);
    this.frame.style.width = `${(100 * face.square.side) / side}%`;
    this.frame.style.left = `${50 + flip * off[0]}%`;
    this.frame.style.top = `${50 + off[1]}%`;
    this.frame.style.transform = `translate(-50%, -50%) rotate(${flip * face.square.degrees}deg)`;
  }
}
