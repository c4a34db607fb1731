// Answers from the server that this page comes from. The page that is exported has another file of this name, which
// computes the same in the browser: both export the same five things.

const TRIES = 4; // where the server is busy
let key = "";

/** What cannot be answered, and why, in words for the person. */
export class Trouble extends Error {
  constructor(message, { again = false, needsKey = false } = {}) {
    super(message);
    this.again = again; // whether it may help to try again
    this.needsKey = needsKey;
  }
}

export const whereTheyGo =
  "They are sent to the server that this page comes from, which answers and forgets them.";

/** The key that the server asks for, from now on. */
export function useKey(text) {
  key = text;
}

/** What the server says of its classifier, as `GET /about` has it. */
export async function about() {
  return (await asked("about")).json();
}

/** The answer to one picture, an entry of what `eyebright predict --json` prints. */
export async function answer(file) {
  const form = new FormData();
  form.append("images", file, file.name);
  const response = await asked("predict", form);
  const [entry] = await response.json();
  if (entry.error) throw new Trouble(plain(entry.error, file.name));
  return entry;
}

/** Where in a picture the evidence for the answer lies: a picture, as a Blob. */
export async function explanation(file) {
  const form = new FormData();
  form.append("image", file, file.name);
  return (await asked("explain", form)).blob();
}

async function asked(path, body) {
  for (let attempt = 1; ; attempt += 1) {
    const response = await sent(path, body);
    if (response.ok || response.status === 422) return response; // 422: no picture could be read; the entry says why
    const busy = response.status === 429 || response.status === 503;
    if (!busy || attempt === TRIES) throw trouble(response.status);
    await seconds(Math.min(Number(response.headers.get("Retry-After")) || 1, 10));
  }
}

async function sent(path, body) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  try {
    return await fetch(path, { method: body ? "POST" : "GET", body, headers, cache: "no-store" });
  } catch {
    throw new Trouble("The server does not answer. Is it still running, and is the picture not too large for it?", {
      again: true,
    });
  }
}

function trouble(status) {
  if (status === 401 || status === 403) return new Trouble("The server does not know this key.", { needsKey: true });
  if (status === 413) return new Trouble("This picture is too large for the server. Make it smaller first.");
  if (status === 429 || status === 503) return new Trouble("The server is busy. Try again in a moment.", { again: true });
  return new Trouble(`The server could not answer (status ${status}). What it wrote down says why.`, { again: true });
}

/** The server's message without the file's name before it: the page shows that already. */
function plain(message, name) {
  const text = name && message.startsWith(`${name}: `) ? message.slice(name.length + 2) : message;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function seconds(count) {
  return new Promise((done) => setTimeout(done, count * 1000));
}
