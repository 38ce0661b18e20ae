// The model, away from the page: pictures come in, probabilities go out.
//
// In:  { id, picture }: an ImageBitmap or a File, whose centre square is read.
// Out: { loaded } (0 to 1) while the model comes, then { card, backend } or { failed };
//      for each picture { id, probabilities, ms } or { id, failed }.
// `failed` is a sentence for people.

import { scale } from "./crop.js";

/** The largest canvas side that every phone has, px. */
const LARGEST = 2048;

const canvas = new OffscreenCanvas(1, 1);
const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
let ort, session, card;

// One thing after the other: the canvas and the session are for one picture at a time.
let done = start().then(
  (backend) => postMessage({ card, backend }),
  (error) => postMessage({ failed: error.message }),
);

onmessage = ({ data }) => {
  done = done.then(() => answer(data));
};

async function answer({ id, picture }) {
  try {
    const pixels = await read(picture);
    const started = performance.now();
    const probabilities = await run(pixels).catch((error) => {
      throw new Error(`The model stopped (${brief(error)}).`);
    });
    postMessage({ id, probabilities, ms: performance.now() - started });
  } catch (error) {
    postMessage({ id, failed: error.message });
  }
}

async function start() {
  card = parse(await load("model/model.json"));
  const bytes = await load("model/model.onnx", (loaded) => postMessage({ loaded }));
  const backends = await choose(new URLSearchParams(location.search).get("backend"));
  for (const [i, backend] of backends.entries()) {
    try {
      const name = await backend(bytes);
      await run(new Uint8Array(card.input.size ** 2 * 3)); // the first run prepares the others
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

async function run(pixels) {
  const { input, output } = card;
  const tensor = new ort.Tensor("uint8", pixels, [1, input.size, input.size, 3]);
  const answers = await session.run({ [input.name]: tensor });
  return answers[output.name].data;
}

/** The centre square of a picture as the model takes it. */
async function read(picture) {
  const bitmap = picture instanceof ImageBitmap ? picture : await decode(picture);
  const square = Math.min(bitmap.width, bitmap.height);
  const side = Math.min(square, LARGEST);
  const left = Math.floor((bitmap.width - square) / 2), top = Math.floor((bitmap.height - square) / 2);
  if (canvas.width !== side) canvas.width = canvas.height = side;
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff"; // under what is transparent
  context.fillRect(0, 0, side, side);
  context.drawImage(bitmap, left, top, square, square, 0, 0, side, side);
  bitmap.close();
  return scale(context.getImageData(0, 0, side, side).data, side, card.input.size);
}

async function decode(file) {
  try {
    return await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    throw new Error("No picture that this browser can read.");
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
