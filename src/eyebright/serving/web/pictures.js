// Pictures come in: dropped, pasted, chosen or photographed.

/**
 * Calls `take` with the files of each drop, paste or choice, and `refuse` with a sentence where none was in it.
 *
 * @param {(files: File[]) => void} take
 * @param {(why: string) => void} refuse
 */
export function pictures(take, refuse) {
  for (const input of document.querySelectorAll("input[type=file]")) {
    input.addEventListener("change", () => {
      const files = [...input.files];
      input.value = ""; // so that the same file may be chosen again
      if (files.length) take(files);
    });
  }
  // The whole page takes drops: a browser leaves the page for a file that is dropped beside the frame.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.toggle("over", event.dataTransfer.types.includes("Files"));
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("over");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    const folder = [...event.dataTransfer.items].some((item) => item.webkitGetAsEntry?.()?.isDirectory);
    if (folder) refuse("That was a folder. Drop the pictures that are in it.");
    else if (event.dataTransfer.files.length) take([...event.dataTransfer.files]);
    else refuse("That was no picture file. Save the picture first, then drop its file here.");
  });
  document.addEventListener("paste", (event) => {
    if (event.target.closest?.("input")) return;
    if (event.clipboardData.files.length) take([...event.clipboardData.files]);
    else refuse("The clipboard holds no picture.");
  });
}
