// Answers from the classifier itself, which runs in this browser: no picture leaves it. The page of a server has another
// file of this name; both export the same things.

import * as ort from "./onnxruntime-web.js";
import { imageOf } from "./resize.js";

const TOP = 5;
let classifier; // classifier.json
let session;
let last = Promise.resolve(); // one picture after the other: the runtime has one thread

/** What cannot be answered, and why, in words for the person. */
export class Trouble extends Error {
  constructor(message) {
    super(message);
    this.again = false;
    this.needsKey = false;
  }
}

export const whereTheyGo = "They stay where they are: the classifier runs in this browser, and no picture is sent anywhere.";

/** There are no keys: nobody is asked. */
export function useKey() {}

/** What is known of the classifier, when it is loaded and answers the golden pictures as it did where it was exported. */
export async function about(progress) {
  classifier = JSON.parse(new TextDecoder().decode(await bytesOf("classifier.json")));
  const runtime = "onnxruntime-web.wasm";
  const total = classifier.bytes;
  let loaded = 0;
  const count = (bytes) => progress(Math.min(1, (loaded += bytes) / total));
  const [wasm, model] = await Promise.all([bytesOf(runtime, count), bytesOf("model.onnx", count)]);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = wasm.buffer;
  try {
    session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  } catch (error) {
    throw new Trouble(`This browser cannot run the classifier (${error.message}). A newer one may.`);
  }
  for (const golden of classifier.golden) await check(golden);
  return classifier.about;
}

/** The answer to one picture, as an entry of what `eyebright predict --json` prints. */
export function answer(file) {
  const found = last.then(() => answered(file));
  last = found.catch(() => {});
  return found;
}

/** Nothing here can explain: that takes the network's gradients, or the server's patience. */
export async function explanation() {
  throw new Trouble("This page cannot explain its answers.");
}

/** [height, width, channels] of the images that the classifier takes. */
function shape() {
  const { height, width, channels } = classifier.about.image;
  return [height, width, channels];
}

/** Probabilities [classes] of a picture, and its distance from the training images where those are known. */
export async function computed(file) {
  const images = new ort.Tensor("uint8", await imageIn(file), [1, ...shape()]);
  const outputs = await session.run({ images });
  return { probabilities: outputs.probabilities.data, distance: outputs.distances?.data[0] };
}

async function answered(file) {
  const { probabilities, distance } = await computed(file);
  const names = classifier.about.class_names;
  const order = [...names.keys()].sort((a, b) => probabilities[b] - probabilities[a]);
  const top = order.slice(0, TOP).map((i) => ({ label: names[i], probability: probabilities[i] }));
  return {
    image: file.name,
    ...top[0],
    top,
    abstained: top[0].probability < (classifier.about.min_confidence ?? 0),
    unlike_training: classifier.unlike_distance !== null && distance > classifier.unlike_distance,
  };
}

/** The pixels of a picture file as the classifier takes them, uint8 [H, W, C]. */
async function imageIn(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw new Trouble("This browser cannot read it as a picture. It may be damaged, or of a format that browsers do not know: JPEG, PNG and WebP they all do.");
  }
  try {
    return imageOf(bitmap, shape(), classifier.about.image.fit);
  } finally {
    bitmap.close();
  }
}

/** Some browsers change the pixels that a page reads, against being recognised: the answers would be wrong. */
async function check(golden) {
  const png = Uint8Array.from(atob(golden.png), (character) => character.charCodeAt(0));
  const { probabilities } = await computed(new Blob([png], { type: "image/png" }));
  const apart = Math.max(...golden.probabilities.map((expected, i) => Math.abs(expected - probabilities[i])));
  if (!(apart <= golden.tolerance)) {
    throw new Trouble(
      "In this browser the classifier does not answer as it should, so that it answers nothing at all. If the browser " +
        "is set to resist fingerprinting, it changes the pixels that a page reads: allow this page to read them, or " +
        "take another browser.",
    );
  }
}

async function bytesOf(url, count = () => {}) {
  const response = await fetch(url).catch(() => null);
  if (!response?.ok) throw new Trouble(`A part of this page is missing: ${url}. Load it anew, or export it again.`);
  const parts = [];
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return new Uint8Array(await new Blob(parts).arrayBuffer());
    parts.push(value);
    count(value.length);
  }
}
