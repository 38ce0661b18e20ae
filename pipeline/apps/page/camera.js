// The camera: open, switch, freeze, and hand out the newest frame.

const WANTED = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };

const SENTENCES = {
  NotAllowedError: "The camera was refused. Allow it for this page in the browser, then try again.",
  NotFoundError: "There is no camera on this device. Drop a picture here instead.",
  NotReadableError: "The camera is busy. Close the program that uses it, then try again.",
};
SENTENCES.AbortError = SENTENCES.TrackStartError = SENTENCES.NotReadableError;
SENTENCES.SecurityError = SENTENCES.NotAllowedError;

const close = (stream) => stream.getTracks().forEach((track) => track.stop());

export class Camera {
  #video;
  #stream = null;
  #turn = 0; // of calls of `start` and `stop`: the latest counts
  #come = 0; // frames that came to the preview
  #taken = 0; // the last of them that `grab` gave
  #waiting = () => {};

  /** @param {HTMLVideoElement} video the preview; @param {() => void} ended hears of a lost camera */
  constructor(video, ended) {
    this.#video = video;
    this.ended = ended;
    /** A mirror is what people expect of a camera that looks at them, and of no other. */
    this.mirrored = false;
    this.#count();
  }

  get open() {
    return this.#stream !== null;
  }

  get frozen() {
    return this.open && this.#video.paused;
  }

  /** Frames shown so far. */
  get frames() {
    return this.#come;
  }

  /** Open a camera, at first the one that faces the user. Rejects with a sentence for people. */
  async start(which = { facingMode: "user" }) {
    if (!navigator.mediaDevices) {
      throw new Error("The camera needs HTTPS. Start the page with `pipeline demo --https`.");
    }
    this.stop();
    const turn = this.#turn;
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { ...WANTED, ...which } });
    } catch (error) {
      throw new Error(SENTENCES[error.name] ?? `The camera does not start (${error.message}).`);
    }
    if (turn !== this.#turn) return close(stream); // people wait long before they allow it
    this.#stream = stream;
    const [track] = this.#stream.getVideoTracks();
    track.onended = () => {
      this.stop();
      this.ended();
    };
    this.mirrored = track.getSettings().facingMode !== "environment";
    this.#video.srcObject = this.#stream;
    // A phone that saves power may want a touch first; until then the picture is frozen.
    await this.#video.play().catch(() => {});
  }

  stop() {
    this.#turn++;
    if (this.#stream) close(this.#stream);
    this.#stream = this.#video.srcObject = null;
    this.#taken = this.#come;
  }

  /** Whether there is another camera to switch to. */
  async several() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter((device) => device.kind === "videoinput").length > 1;
  }

  /** The other side of a phone, or the next camera of a computer. */
  async switch() {
    const { facingMode, deviceId } = this.#stream.getVideoTracks()[0].getSettings();
    if (facingMode) {
      return this.start({ facingMode: facingMode === "user" ? "environment" : "user" });
    }
    const devices = await navigator.mediaDevices.enumerateDevices();
    const ids = devices.filter((d) => d.kind === "videoinput").map((d) => d.deviceId);
    return this.start({ deviceId: { exact: ids[(ids.indexOf(deviceId) + 1) % ids.length] } });
  }

  /** Hold the picture. It counts as new, so that the frozen frame itself is read. */
  freeze() {
    this.#video.pause();
    this.#arrived();
  }

  resume() {
    return this.#video.play();
  }

  /**
   * The newest frame, unmirrored, once there is one that was not given before.
   * @returns {Promise<{bitmap: ImageBitmap, still: boolean}>} `still`: of the frozen picture
   */
  async grab() {
    while (!this.open || this.#taken === this.#come) {
      await new Promise((resolve) => (this.#waiting = resolve));
    }
    this.#taken = this.#come;
    const still = this.frozen;
    return { bitmap: await createImageBitmap(this.#video), still };
  }

  #count() {
    this.#video.requestVideoFrameCallback(() => {
      this.#arrived();
      this.#count();
    });
  }

  #arrived() {
    this.#come++;
    this.#waiting();
  }
}
