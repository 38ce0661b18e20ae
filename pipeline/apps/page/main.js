// The page: camera and model in a loop, and what the user does to them.

import { Camera } from "./camera.js";
import { Model } from "./model.js";
import { dropped, Pictures } from "./pictures.js";
import { Pills } from "./pills.js";
import { holding, Smoothing } from "./smoothing.js";
import { View } from "./view.js";

const $ = (id) => document.getElementById(id);
const body = document.body;
const DOUBLE = matchMedia("(pointer: coarse)").matches ? "Double tap" : "Double click or press space";

/** For tests and the curious: `last` is the newest answer, `figures` what the corner shows. */
const hook = (window.faceAttributes = { last: null, figures: null });

// ---- What is said under the circle: the first of these that there is.

const said = { model: null, camera: null, loading: "Loading the model …", opening: null, advice: null };

function tell(changes = {}) {
  Object.assign(said, changes);
  const trouble = said.model ?? said.camera;
  const hint = camera.frozen ? `Frozen. ${DOUBLE} to go on.` : `${DOUBLE} to freeze.`;
  $("status").textContent = trouble ?? said.opening ?? said.loading ?? said.advice ?? hint;
  $("status").classList.toggle("trouble", Boolean(trouble));
  $("retry").hidden = !trouble;
  body.classList.toggle("live", camera.open);
  body.classList.toggle("frozen", camera.frozen);
  $("freeze").disabled = !camera.open;
  $("freeze").querySelector("span").textContent = camera.frozen ? "Resume" : "Freeze";
  $("freeze").querySelector("use").setAttribute("href", camera.frozen ? "#icon-resume" : "#icon-freeze");
}

// ---- The camera.

const camera = new Camera($("preview"), () => tell({ camera: "The camera stopped." }));

async function openCamera(open = () => camera.start()) {
  $("switch").disabled = true;
  tell({ camera: null, opening: "Waiting for the camera … No picture leaves this device." });
  try {
    await open();
    $("switch").disabled = !(await camera.several());
    tell({ opening: null });
  } catch (error) {
    tell({ camera: error.message, opening: null });
  }
}

function toggleFrozen() {
  if (!camera.open || !$("pictures").hidden) return;
  if (camera.frozen) camera.resume();
  else camera.freeze();
  tell();
}

/** Start again with the other camera, or with the first where that one does not open. */
function switchCamera() {
  return openCamera(() => camera.switch().catch(() => camera.start()));
}

// ---- What people can do for a better picture.

/** Mean of the picture, 0 to 1, under which it is dark. */
const DARK = 0.12;

/** Advice is read aloud: it changes only when the new one has held for this long, ms. */
const PATIENCE = 400;

let advice = { text: null, since: 0 };

function advise({ faces: [nearest], light }) {
  const text = light < DARK ? "More light, please." : !nearest ? "No face in the picture."
    : nearest.small ? "Come closer." : null;
  const now = performance.now();
  if (advice.text !== text) advice = { text, since: now };
  if (said.advice !== text && now - advice.since >= PATIENCE) tell({ advice: text });
}

// ---- The loop: while the model reads a frame others come and go; it takes the newest next.

async function live(model) {
  const { card, backend } = await model.ready;
  hook.card = card;
  tell({ loading: null });
  const beware = card.domain?.warning ? `Beware: ${card.domain.warning}.` : "";
  for (const place of document.querySelectorAll(".domain")) place.textContent = beware;
  measure(backend);
  const thresholds = card.thresholds.chosen;
  const pills = new Pills($("pills"), card);
  const smoothing = new Smoothing(thresholds);
  const view = new View($("preview"), $("frame"));
  let next = camera.grab();
  for (let then = performance.now(); ; ) {
    const { bitmap, still } = await next;
    const reading = model.read(bitmap, !still);
    next = camera.grab(); // while the worker reads this one
    const answer = await reading;
    const [nearest = null] = answer.faces;
    const probabilities = nearest?.probabilities ?? null;
    const now = performance.now();
    hook.last = { ...answer, probabilities, still, count: (hook.last?.count ?? 0) + 1 };
    if (!camera.open || still !== camera.frozen) {
      smoothing.forget(); // it was read while people stopped, froze or resumed
    } else {
      view.follow(nearest, answer, camera.mirrored);
      advise(answer);
      if (!nearest) {
        smoothing.forget();
        pills.clear();
      } else if (still) {
        // What stands still is told as it is, and the next moving frame begins anew.
        smoothing.forget();
        pills.show(probabilities, holding(probabilities, thresholds));
      } else {
        const smooth = smoothing.update(probabilities, (now - then) / 1000);
        pills.show(smooth.probabilities, smooth.shown);
      }
    }
    then = now;
  }
}

/** Once a second: frames a second of preview and model, and the time of one reading. */
function measure(backend) {
  let before = { at: performance.now(), frames: camera.frames, count: 0 };
  setInterval(() => {
    const now = { at: performance.now(), frames: camera.frames, count: hook.last?.count ?? 0 };
    const rate = (key) => (1000 * (now[key] - before[key])) / (now.at - before.at);
    const figures = { preview: rate("frames"), model: rate("count"), ms: hook.last?.ms ?? 0, backend };
    hook.figures = figures;
    before = now;
    $("figures").textContent =
      `${figures.preview.toFixed(0)} frames/s, ${figures.model.toFixed(0)} read, ` +
      `${figures.ms.toFixed(0)} ms each · ${backend}`;
  }, 1000);
}

// ---- Pictures instead of the camera, which is off meanwhile.

function show(files) {
  if (!files.length || !pictures) return;
  camera.stop();
  $("live").hidden = true;
  $("pictures").hidden = false;
  tell();
  pictures.add(files);
  $("close").focus();
}

function backToCamera() {
  $("pictures").hidden = true;
  $("live").hidden = false;
  pictures.clear();
  openCamera();
}

// ---- What the user does.

$("freeze").addEventListener("click", toggleFrozen);
$("switch").addEventListener("click", switchCamera);
$("retry").addEventListener("click", () => (said.model ? location.reload() : openCamera()));
$("close").addEventListener("click", backToCamera);
for (const id of ["choose", "more"]) $(id).addEventListener("click", () => $("files").click());
$("files").addEventListener("change", () => {
  show([...$("files").files]);
  $("files").value = "";
});
$("figures-button").addEventListener("click", () => {
  const hidden = ($("figures").hidden = !$("figures").hidden);
  $("figures-button").setAttribute("aria-pressed", String(!hidden));
});

const isControl = (target) => target.closest("button, a, input");

addEventListener("keydown", (event) => {
  if (event.key === " " && !event.repeat && !isControl(event.target)) {
    event.preventDefault();
    toggleFrozen();
  } else if (event.key === "Escape" && !$("pictures").hidden) {
    backToCamera();
  }
});

// Not `dblclick`: phones do not send it everywhere.
let tap = { timeStamp: -Infinity, x: 0, y: 0 };
$("live").addEventListener("pointerup", (event) => {
  if (isControl(event.target)) return;
  const near = Math.hypot(event.x - tap.x, event.y - tap.y) < 40;
  const double = near && event.timeStamp - tap.timeStamp < 350;
  tap = double ? { timeStamp: -Infinity, x: 0, y: 0 } : event;
  if (double) toggleFrozen();
});

addEventListener("dragover", (event) => {
  event.preventDefault();
  body.classList.add("dropping");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) body.classList.remove("dropping");
});
addEventListener("drop", async (event) => {
  event.preventDefault();
  body.classList.remove("dropping");
  show(await dropped(event.dataTransfer));
});

// ---- Begin.

const tooOld =
  !("WebAssembly" in window)
    ? "This browser has no WebAssembly, which the model needs; use another or a newer one."
    : !("OffscreenCanvas" in window && "requestVideoFrameCallback" in $("preview"))
      ? "This browser is too old for this page; use a current one."
      : null;

let pictures;
if (tooOld) {
  tell({ model: tooOld });
} else {
  const model = new Model((share) => {
    // In steps of ten: it is read aloud.
    const percent = 10 * Math.floor(10 * share);
    tell({ loading: percent < 100 ? `Loading the model, ${percent} %` : "Preparing the model …" });
  });
  pictures = new Pictures($("cards"), $("count"), model);
  live(model).catch((error) => tell({ model: error.message }));
  openCamera();
}
