// Questions to the server, and decisions. What it refuses is an Error with its sentence.

let token = document.querySelector("meta[name=token]").content;

/** The server does not answer at all. */
export class Silent extends Error {}

/** It refused, and would again. */
export class Refused extends Error {}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Silent("The server does not answer; start `pipeline browse` again.");
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({ error: answer.statusText }));
  throw Object.assign(new Refused(told.error), { status: answer.status });
}

const address = (path, fields) => `${path}?${new URLSearchParams(fields)}`;

export const getJson = async (path, fields = {}, signal) =>
  (await ask(address(path, fields), { signal })).json();

export const getBlob = async (path, fields, signal) =>
  (await ask(address(path, fields), { signal })).blob();

export const getOrder = async (fields, signal) => {
  const data = await (await ask(address("api/order", fields), { signal })).arrayBuffer();
  return new Int32Array(data);
};

/** A server that was started anew has another token, which stands in its page. */
async function renewToken() {
  const text = await (await ask("./")).text();
  token = new DOMParser().parseFromString(text, "text/html").querySelector("meta[name=token]").content;
}

export async function post(path, value) {
  const send = () =>
    ask(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Token": token },
      body: JSON.stringify(value),
    });
  try {
    return await (await send()).json();
  } catch (error) {
    if (error.status !== 403) throw error;
    await renewToken();
    return (await send()).json();
  }
}
