"use strict";
// Shows the pictures of the cell that was chosen. All text goes in as text.
const { names, cells } = JSON.parse(document.getElementById("cells").textContent);
const buttons = document.querySelectorAll("button[data-cell]");

function element(tag, ...children) {
  const made = document.createElement(tag);
  made.append(...children);
  return made;
}

function figure(picture) {
  const image = element("img");
  image.src = picture.source;
  image.alt = `Image ${picture.image}`;
  const said = `said ${picture.said.toFixed(2)}`;
  return element("figure", image, element("figcaption", said, element("br"), element("small", element("bdi", picture.image))));
}

function choose(button) {
  const [label, taken] = button.dataset.cell.split("-").map(Number);
  const pictures = cells[button.dataset.cell];
  const count = Number(button.dataset.count).toLocaleString("en");
  for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
  const what = label === taken ? [" named rightly"] : [" taken for ", element("bdi", names[taken])];
  const shown = `: ${pictures.length} of ${count} pictures, the worst first`;
  document.getElementById("chosen-title").replaceChildren(element("bdi", names[label]), ...what, shown);
  document.getElementById("chosen-pictures").replaceChildren(...pictures.map((picture) => figure(picture)));
  document.getElementById("chosen").scrollIntoView({ block: "nearest" });
}

for (const button of buttons) button.addEventListener("click", () => choose(button));
