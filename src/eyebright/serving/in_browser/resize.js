// A picture of any size becomes the uint8 image that a classifier takes, as `eyebright.data.decode` makes it: on
// white, grey or RGB, bilinear with antialiasing. The sums are those of Pillow 13: fixed point with 22 bits, columns
// or rows first, rounded to 8 bits in between. Of the same pixels both make the same image, to the bit.

const BITS = 22;
const HALF = 2 ** (BITS - 1); // what is added before a sum is cut off, to round it
const PIXELS_AT_ONCE = 2 ** 21; // that are copied out of the browser: phones have no canvas for a whole photograph

/**
 * @param {ImageBitmap} bitmap upright, in the colours of sRGB
 * @param {[number, number, number]} shape height, width, channels (1 or 3)
 * @param {"crop" | "stretch" | "pad"} fit what is done where the proportions differ
 * @returns {Uint8Array} [height, width, channels]
 */
export function imageOf(bitmap, [height, width, channels], fit) {
  const place = placed(bitmap.width, bitmap.height, width, height, fit);
  const across = weights(bitmap.width, place.left, place.right, place.width);
  const down = weights(bitmap.height, place.top, place.bottom, place.height);
  const stride = (downFirst(bitmap, place) ? bitmap.width : place.width) * channels;
  const sums = new Int32Array(place.height * stride).fill(HALF);
  forEachRow(bitmap, channels, (pixels, row) => {
    add(downFirst(bitmap, place) ? pixels : narrowed(pixels, across, channels), row, down, sums);
  });
  const image = new Uint8Array(height * width * channels); // black, where there are bars
  for (let y = 0; y < place.height; y += 1) {
    const line = Uint8Array.from(sums.subarray(y * stride, (y + 1) * stride), clipped);
    const pixels = downFirst(bitmap, place) ? narrowed(line, across, channels) : line;
    image.set(pixels, ((y + place.y) * width + place.x) * channels);
  }
  return image;
}

/** Whether the rows come first. Pillow looks at the size of the whole picture; found by trying, and kept to by a test. */
function downFirst(from, to) {
  return from.height > to.height && from.height - to.height > 2 * (from.width - to.width);
}

/** Which part of a picture is taken, and where in the image it comes to lie: `fitted` of `data/fitting.py`. */
function placed(width, height, toWidth, toHeight, fit) {
  const whole = { left: 0, top: 0, right: width, bottom: height, x: 0, y: 0, width: toWidth, height: toHeight };
  if (fit === "pad") {
    const scale = Math.min(toWidth / width, toHeight / height);
    const inner = [width, height].map((side) => Math.max(1, roundedToEven(side * scale)));
    const [x, y] = [Math.floor((toWidth - inner[0]) / 2), Math.floor((toHeight - inner[1]) / 2)];
    return { ...whole, x, y, width: inner[0], height: inner[1] };
  }
  if (fit === "crop") {
    const ratio = toWidth / toHeight;
    const across = (width - Math.min(width, height * ratio)) / 2;
    const down = (height - Math.min(height, width / ratio)) / 2;
    return { ...whole, left: across, top: down, right: width - across, bottom: height - down };
  }
  return whole;
}

function roundedToEven(value) {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + (floor % 2) : Math.round(value);
}

/** For each of `size` pixels between `from` and `to`: the first pixel that it is made of, and the weights from it on. */
function weights(length, from, to, size) {
  const start = Math.fround(from); // Pillow's box is of floats
  const scale = Math.fround(Math.fround(to) - start) / size;
  const support = Math.max(scale, 1);
  return Array.from({ length: size }, (_, place) => {
    const centre = start + (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(length, Math.trunc(centre + support + 0.5));
    const triangle = Array.from({ length: last - first }, (__, k) =>
      Math.max(0, 1 - Math.abs((k + first - centre + 0.5) * (1 / support))),
    );
    const total = triangle.reduce((sum, weight) => sum + weight, 0);
    const of = Int32Array.from(triangle, (weight) => Math.trunc(0.5 + (weight / (total || 1)) * 2 ** BITS));
    return { first, of };
  });
}

/** One row of a picture, uint8 [width, channels], made as narrow as the image. */
function narrowed(pixels, across, channels) {
  const row = new Uint8Array(across.length * channels);
  for (let x = 0; x < across.length; x += 1) {
    const { first, of } = across[x];
    for (let channel = 0; channel < channels; channel += 1) {
      let sum = HALF;
      for (let k = 0; k < of.length; k += 1) sum += pixels[(first + k) * channels + channel] * of[k];
      row[x * channels + channel] = clipped(sum);
    }
  }
  return row;
}

/** Add a row of a picture to the sums of all rows of the image that are made of it. */
function add(pixels, row, down, sums) {
  for (let y = 0; y < down.length; y += 1) {
    const weight = down[y].of[row - down[y].first];
    if (!weight) continue; // none, or 0
    for (let x = 0; x < pixels.length; x += 1) sums[y * pixels.length + x] += pixels[x] * weight;
  }
}

function clipped(sum) {
  return Math.min(255, Math.max(0, sum >> BITS));
}

/** Calls `use` with the pixels of each row, uint8 [width, channels], from above, and its number. */
function forEachRow(bitmap, channels, use) {
  const rows = Math.max(1, Math.floor(PIXELS_AT_ONCE / bitmap.width));
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = Math.min(rows, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  for (let top = 0; top < bitmap.height; top += canvas.height) {
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(bitmap, 0, -top);
    const count = Math.min(canvas.height, bitmap.height - top);
    const { data } = context.getImageData(0, 0, canvas.width, count);
    for (let row = 0; row < count; row += 1) {
      use(coloured(data.subarray(row * canvas.width * 4, (row + 1) * canvas.width * 4), channels), top + row);
    }
  }
}

/** RGBA as the classifier takes colours: without its A, or grey as Pillow makes it (ITU-R 601). */
function coloured(rgba, channels) {
  const count = rgba.length / 4;
  const pixels = new Uint8Array(count * channels);
  for (let i = 0; i < count; i += 1) {
    const [red, green, blue] = [rgba[4 * i], rgba[4 * i + 1], rgba[4 * i + 2]];
    if (channels === 1) pixels[i] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
    else pixels.set([red, green, blue], 3 * i);
  }
  return pixels;
}
