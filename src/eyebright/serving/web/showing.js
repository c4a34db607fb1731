// What the page shows: a card for each picture, and what is known of the classifier.

const template = document.querySelector("#card");
const SMALL = 128; // pixels: smaller pictures are enlarged without blur
const NUMBER = new Intl.NumberFormat("en");

/** A probability as people read it: never 100% or 0%, which no classifier may say. */
export function percent(probability) {
  if (probability > 0.995) return "over 99%";
  if (probability < 0.005) return "under 1%";
  return `${Math.round(100 * probability)}%`;
}

/** A card for a picture that is not answered yet. */
export function card(file) {
  const element = template.content.cloneNode(true).firstElementChild;
  const picture = element.querySelector(".picture");
  picture.alt = `Your picture ${file.name}`;
  picture.src = URL.createObjectURL(file);
  picture.addEventListener("load", () => picture.classList.toggle("small", picture.naturalWidth < SMALL));
  picture.addEventListener("error", () => {
    const instead = textIn("p", "The browser cannot show this picture.");
    instead.className = "instead";
    picture.replaceWith(instead);
  });
  element.querySelector("bdi").textContent = file.name;
  return element;
}

/** Show the answer on a card. Returns it as one line, to be read out. */
export function showAnswer(element, answer) {
  const verdict = answer.abstained ? "Not sure" : answer.label;
  heading(element, verdict);
  part(element, ".unlike").hidden = !answer.unlike_training;
  const unsure = part(element, ".unsure");
  unsure.hidden = !answer.abstained;
  unsure.textContent = `Its best guess is ${answer.label}, but it is too unsure of it to count as an answer.`;
  const set = part(element, ".set");
  set.hidden = !answer.set;
  if (answer.set) set.textContent = classSet(answer.set);
  part(element, ".bars").replaceChildren(...answer.top.map(bar));
  const sure = answer.abstained ? "" : `, ${percent(answer.probability)}`;
  return `${verdict}${sure}${answer.unlike_training ? ", unlike anything it was trained on" : ""}`;
}

/** Show on a card why there is no answer. Returns it as one line. */
export function showTrouble(element, trouble) {
  heading(element, "No answer");
  const unsure = part(element, ".unsure");
  unsure.hidden = false;
  unsure.textContent = trouble.message;
  part(element, ".again").hidden = !trouble.again;
  return `no answer. ${trouble.message}`;
}

/** Lay an explanation over a card's picture, or take it away. */
export function showExplanation(element, url, label) {
  const heat = part(element, ".heat");
  heat.hidden = !url;
  if (url) {
    heat.src = url;
    heat.alt = `Where in the picture the evidence for ${label} lies`;
  }
  part(element, ".explain").setAttribute("aria-pressed", String(Boolean(url)));
}

/** Let go of a card's pictures, which take memory. */
export function forget(element) {
  for (const image of element.querySelectorAll("img")) URL.revokeObjectURL(image.src);
  element.remove();
}

/** Name, classes, and at the page's end what it was trained on and how good it is. */
export function showAbout(about, whereTheyGo) {
  document.title = about.name;
  document.querySelector("#name").textContent = about.name;
  const names = about.class_names;
  const some = names.length > 12 ? [...names.slice(0, 12), "…"] : names;
  document.querySelector("#classes").textContent = `Tells ${names.length} classes apart: ${some.join(", ")}`;
  const rows = [
    ["Trained on", trainedOn(about)],
    ["How good it is", accuracy(about)],
    ["“Not sure”", threshold(about)],
    ["“Unlike”", unlike(about)],
    ["Your pictures", whereTheyGo],
  ];
  const list = document.querySelector("#about dl");
  list.replaceChildren(...rows.flatMap(([term, text]) => [textIn("dt", term), textIn("dd", text)]));
  document.querySelector("#about").hidden = false;
}

function classSet(names) {
  if (!names.length) return "No class is likely enough for its set of classes.";
  return `Its set of classes: ${names.join(", ")}.`;
}

function trainedOn({ trained_on: data }) {
  if (!data) return "It does not say what it was trained on.";
  return data.images ? `${NUMBER.format(data.images)} pictures of ${data.name}` : `Pictures of ${data.name}`;
}

function accuracy({ accuracy: share, accuracy_ci95: interval, test_images: images }) {
  if (share == null) return "It was never tested: nobody knows.";
  const count = images ? `${NUMBER.format(images)} pictures` : "the pictures";
  return `It named ${precise(share)} of ${count} rightly that it had never seen (95% interval: ${interval.map(precise).join(" to ")}).`;
}

function threshold({ min_confidence: least }) {
  if (!least) return "It never says that: it always names its best guess. Mind the percentage.";
  return `It says so where even its best guess has a probability of less than ${precise(least)}.`;
}

function unlike({ tells_unlike_pictures: tells }) {
  if (!tells) return "It cannot tell pictures of other kinds: it names one of its classes, whatever they show.";
  return "It warns of pictures that are unlike those that it was trained on: it never learnt what they show.";
}

function precise(share) {
  return `${(100 * share).toFixed(1)}%`;
}

function bar({ label, probability }) {
  const row = document.createElement("li");
  const drawn = textIn("span", "");
  drawn.className = "bar";
  drawn.style.setProperty("--share", probability); // by the object model, which style-src 'self' allows
  row.append(textIn("bdi", label), textIn("span", percent(probability)), drawn);
  return row;
}

function heading(element, text) {
  element.removeAttribute("aria-busy");
  part(element, "h3").textContent = text;
}

function part(element, selector) {
  return element.querySelector(selector);
}

function textIn(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}
