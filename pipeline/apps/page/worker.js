// The networks, away from the page: pictures come in, faces and their probabilities go out.
//
// In:  { id, picture, live }: an ImageBitmap or a File. `live`: it follows the one before, so the
//      nearest face is looked for where it was.
// Out: { loaded } (0 to 1) while the model comes, then { card, backend } or { failed };
//      for each picture { id, faces, light, width, height, ms } or { id, failed }. A face has
//      { score, centre, size, points, square, small, probabilities }, px of the picture; `square`
//      is what the model reads. The largest comes first. `light` is 0 to 1.
// `failed` is a sentence for people.

import { scale } from "./crop.js";
import { Finder } from "./faces.js";
import { Follower } from "./follower.js";

/** The longest side of a picture that is looked at, px: what every phone's canvas has. */
const LARGEST = 4096;

const canvas = new OffscreenCanvas(1, 1);
const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
let ort, session, card, finder, follower;

// One thing after the other: the canvas and the sessions are for one picture at a time.
let done = start().then(
  (backend) => postMessage({ card, backend }),
  (error) => postMessage({ failed: error.message }),
);

onmessage = ({ data }) => {
  done = done.then(() => answer(data));
};

async function answer({ id, picture, live }) {
  try {
    const image = await pixelsOf(picture);
    const started = performance.now();
    const found = live ? await follower.find(image) : await finder.find(image);
    const faces = [];
    for (const face of found) {
      const probabilities = await run(squareOf(finder.portrait(image, face.into)));
      const [square, small] = [finder.squareOf(face), finder.isSmall(face)];
      faces.push({ ...face, square, small, probabilities });
    }
    const { width, height } = image, ms = performance.now() - started;
    postMessage({ id, faces, light: lightOf(image), width, height, ms });
  } catch (error) {
    const sentence = error instanceof Sentence ? error.message : `The model stopped (${brief(error)}).`;
    postMessage({ id, failed: sentence });
  }
}

async function start() {
  card = parse(await load("model/model.json"));
  const numbers = parse(await load("faces/numbers.json"));
  const bytes = await load("model/model.onnx", (loaded) => postMessage({ loaded }));
  const backends = await choose(new URLSearchParams(location.search).get("backend"));
  for (const [i, backend] of backends.entries()) {
    try {
      const name = await backend(bytes);
      await run(new Uint8Array(card.input.size ** 2 * 3)); // the first run prepares the others
      finder = new Finder(numbers, await detector("short_range"), await detector("full_range"));
      follower = new Follower(finder);
      return name;
    } catch (error) {
      if (i < backends.length - 1) continue;
      throw new Error(`The model cannot be run (${brief(error)}); run \`pipeline export\` again.`);
    }
  }
}

/** What to try, in order; `asked`, webgpu or wasm, from the page's address wins. */
async function choose(asked) {
  if (asked) return [asked === "webgpu" ? webgpu : wasm];
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return adapter ? [webgpu, wasm] : [wasm];
}

async function webgpu(bytes) {
  await open("ort/ort.webgpu.min.mjs", bytes, "webgpu");
  return "WebGPU";
}

async function wasm(bytes) {
  const threads = await open("ort/ort.wasm.min.mjs", bytes, "wasm");
  return `WASM, ${threads} ${threads === 1 ? "thread" : "threads"}`;
}

/** Open the session; how many threads it has. */
async function open(module, bytes, provider) {
  ort = await import(`./${module}`);
  // One core is left to the preview; phones have few fast ones, and more threads wait for slow ones.
  const threads = self.crossOriginIsolated
    ? Math.max(1, Math.min(navigator.hardwareConcurrency - 1, 4))
    : 1;
  ort.env.logLevel = "error";
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = new URL("ort/", import.meta.url).href;
  session = await ort.InferenceSession.create(bytes, { executionProviders: [provider] });
  return threads;
}

/** A face detector. It is small: on the CPU it is done before a GPU has begun. */
async function detector(name) {
  const bytes = await load(`faces/${name}.onnx`);
  const network = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
  const side = network.inputMetadata[0].shape[1];
  return {
    side,
    async run(pixels, count) {
      const image = new ort.Tensor("uint8", pixels, [count, side, side, 3]);
      const { scores, faces } = await network.run({ image });
      return { scores: scores.data, faces: faces.data, count };
    },
  };
}

async function run(pixels) {
  const { input, output } = card;
  const tensor = new ort.Tensor("uint8", pixels, [1, input.size, input.size, 3]);
  const answers = await session.run({ [input.name]: tensor });
  return answers[output.name].data;
}

/** The centre square of a portrait as the model takes it. */
function squareOf({ data, width, height }) {
  const top = Math.floor((height - width) / 2);
  return scale(data.subarray(3 * width * top, 3 * width * (top + width)), width, card.input.size);
}

/** The pixels of a picture, upright; a huge one comes smaller. */
async function pixelsOf(picture) {
  const bitmap = picture instanceof ImageBitmap ? picture : await decode(picture);
  const shrink = Math.min(1, LARGEST / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((v) => Math.max(1, Math.round(v * shrink)));
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff"; // under what is transparent
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return { data: context.getImageData(0, 0, width, height).data, width, height, step: 4 };
}

/** How light a picture is, by some of its pixels: 0 to 1. */
function lightOf({ data }) {
  let sum = 0, count = 0;
  for (let i = 0; i < data.length; i += 4 * 997, count++) sum += data[i] + data[i + 1] + data[i + 2];
  return sum / count / 765;
}

class Sentence extends Error {}

async function decode(file) {
  try {
    return await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    throw new Sentence("No picture that this browser can read.");
  }
}

function parse(bytes) {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new Error("The model's description is damaged; run `pipeline export` again.");
  }
}

/** A file of this site; `progress` hears of the share that came. */
async function load(path, progress = () => {}) {
  const response = await fetch(new URL(path, import.meta.url)).catch(() => null);
  if (!response?.ok) {
    throw new Error("The model is missing; run `pipeline export`, then build this page again.");
  }
  const total = Number(response.headers.get("Content-Length")) || Infinity;
  const parts = [];
  let come = 0;
  for (let reader = response.body.getReader(), part; !(part = await reader.read()).done; ) {
    parts.push(part.value);
    come += part.value.length;
    progress(Math.min(come / total, 1));
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

const brief = (error) => String(error.message ?? error).split("\n")[0].slice(0, 120);
