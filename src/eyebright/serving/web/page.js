// The page: pictures come in, are asked about, and answers are shown. Who answers, `asking.js` alone knows.

import { about, answer, explanation, Trouble, useKey, whereTheyGo } from "./asking.js";
import { pictures } from "./pictures.js";
import { card, forget, showAbout, showAnswer, showExplanation, showTrouble } from "./showing.js";

const AT_ONCE = 4; // pictures that are asked about at the same time
const READ_OUT = 3; // answers that are read out one by one; of more, only how many
const waiting = [];
let asking = 0;
let found = []; // since nothing was waiting: [{ line, kind }]
let canExplain = false;

const element = (id) => document.querySelector(`#${id}`);

async function open() {
  const loading = element("loading");
  try {
    const classifier = await about((share) => {
      loading.hidden = false;
      element("loaded").value = share;
    });
    canExplain = classifier.explains;
    showAbout(classifier, whereTheyGo);
    element("pictures").hidden = false;
    element("key").hidden = true;
    element("trouble").hidden = true;
  } catch (trouble) {
    element("key").hidden = !trouble.needsKey;
    tell(trouble.needsKey && element("key-text").value === "" ? "" : wordsFor(trouble).message);
  } finally {
    loading.hidden = true;
  }
}

/** Put pictures in the queue, their cards before those that are there. */
function take(files) {
  tell("");
  const cards = files.map(card);
  element("answers").prepend(...cards);
  element("found").hidden = false;
  cards.forEach((one, number) => waiting.push({ card: one, file: files[number] }));
  next();
}

function next() {
  while (asking < AT_ONCE && waiting.length) {
    asking += 1;
    ask(waiting.shift()).finally(() => {
      asking -= 1;
      next();
    });
  }
  const left = asking + waiting.length;
  if (left) element("status").textContent = `Looking at ${left === 1 ? "a picture" : `${left} pictures`}…`;
  else sayWhatWasFound();
}

async function ask({ card: one, file }) {
  try {
    const given = await answer(file);
    found.push({ kind: given.abstained ? "not sure" : "answered", line: `${file.name}: ${showAnswer(one, given)}.` });
    if (canExplain) offerExplanation(one, file, given.label);
  } catch (error) {
    const trouble = wordsFor(error);
    found.push({ kind: "without an answer", line: `${file.name}: ${showTrouble(one, trouble)}` });
    one.querySelector(".again").onclick = () => {
      forget(one);
      take([file]);
    };
  }
}

function sayWhatWasFound() {
  if (!found.length) return;
  const kinds = ["answered", "not sure", "without an answer"];
  const counts = kinds.map((kind) => [found.filter((one) => one.kind === kind).length, kind]).filter(([count]) => count);
  const summary = `${found.length} pictures: ${counts.map((both) => both.join(" ")).join(", ")}.`;
  element("status").textContent = found.length > READ_OUT ? summary : found.map(({ line }) => line).join(" ");
  found = [];
}

function offerExplanation(one, file, label) {
  const button = one.querySelector(".explain");
  button.hidden = false;
  button.setAttribute("aria-label", `Explain: show where the evidence for ${label} lies`);
  let url = "";
  button.onclick = async () => {
    if (button.getAttribute("aria-pressed") === "true") return showExplanation(one, "", label);
    button.disabled = true;
    try {
      url ||= URL.createObjectURL(await explanation(file));
      showExplanation(one, url, label);
    } catch (error) {
      tell(wordsFor(error).message);
    } finally {
      button.disabled = false;
      button.focus();
    }
  };
}

/** What happened, in words: what is no `Trouble` is a fault of the page. */
function wordsFor(error) {
  if (error instanceof Trouble) return error;
  console.error(error);
  return new Trouble(`The page itself failed (${error.message}). Load it anew.`);
}

function tell(text) {
  element("trouble").textContent = text;
  element("trouble").hidden = !text;
}

element("clear").addEventListener("click", () => {
  waiting.length = 0;
  for (const one of [...element("answers").children]) forget(one);
  element("found").hidden = true;
  element("status").textContent = "";
  element("choose").focus();
});
element("key").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(element("key-text").value);
  open();
});
pictures(take, tell);
open();
