// The gallery: every picture of a table as a tile, in bins of two fields or on a map. It stands below languages.js,
// filter.js and columns.js in one module. Text reaches the document through textContent only.

const BOLD = '600 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const SMALL_FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const HEAD = 40; // pixels above the tiles, for the names of columns
const SIDE = 150; // pixels beside the tiles, for the names of rows, at most
const GAP = 0.6; // tiles between two bins
const MOST_BINS = 60; // kinds that get a bin each; the smaller ones share one
const MOST_ZOOM = 400; // pixels of a tile
const SMALL = 24; // pixels of a tile below which tiles are copied by hand
let serial = 0;

// ---------------------------------------------------------------- sheets of tiles

class Sheets {
  constructor(told, n) {
    Object.assign(this, told); // width, height, across, per_sheet, type
    this.n = n;
    this.aspect = this.height / this.width;
    this.levels = []; // of each sheet: the picture itself, half as large, a quarter ...
  }

  async load() {
    const texts = [...document.querySelectorAll('script[id^="gallery-sheet-"]')];
    await Promise.all(texts.map(async (element, k) => {
      const bytes = fromBase64(element.textContent);
      element.remove();
      this.levels[k] = [{ source: await createImageBitmap(new Blob([bytes], { type: this.type })), w: this.width, h: this.height }];
    }));
  }

  // How often a sheet is halved for tiles of this many pixels: as often as leaves a pixel for each.
  depth(pixels) {
    let k = 0;
    while (k < 5 && this.width / 2 ** (k + 1) >= pixels) k += 1;
    return k;
  }

  // A sheet, halved some times. A tile of it has whole pixels, so that none takes colour from its neighbour.
  level(sheet, k) {
    const made = this.levels[sheet];
    while (made.length <= k) {
      const last = made.at(-1);
      const half = document.createElement("canvas");
      const [w, h] = [Math.max(1, Math.round(last.w / 2)), Math.max(1, Math.round(last.h / 2))];
      [half.width, half.height] = [(last.source.width / last.w) * w, (last.source.height / last.h) * h];
      const context = half.getContext("2d", IN_MEMORY);
      context.imageSmoothingQuality = "low"; // at half the size the mean of four pixels, and the quickest
      context.drawImage(last.source, 0, 0, half.width, half.height);
      made.push({ source: half, context, width: half.width, w, h });
    }
    return made[k];
  }

  place(i, level) {
    const at = i % this.per_sheet;
    return [(at % this.across) * level.w, Math.floor(at / this.across) * level.h];
  }

  draw(context, i, x, y, w, h, pixels) {
    const level = this.level(Math.floor(i / this.per_sheet), this.depth(pixels));
    const [left, top] = this.place(i, level);
    context.drawImage(level.source, left, top, level.w, level.h, x, y, w, h);
  }

  // The pixels of a halved sheet, to be copied by hand.
  pixels(sheet, k) {
    const level = this.level(sheet, Math.max(1, k));
    level.data ??= new Uint32Array(level.context.getImageData(0, 0, level.source.width, level.source.height).data.buffer);
    return level;
  }
}

// ---------------------------------------------------------------- bins of a field

const TIME_STEPS = [1, 10, 60, 600, 3600, 6 * 3600].map((s) => s * 1000).concat([1, 7, 30, 91, 365.25, 3652.5].map((d) => d * DAY));

// The bin of every row, and the name of each bin; bins that only gather what has no value come last.
function binsOf(column, n, asked) {
  if (!column) return { of: new Int32Array(n), names: [""], kept: false };
  return areKinds(column) ? binsOfKinds(column, n) : binsOfNumbers(column, n, asked);
}

function binsOfKinds(column, n) {
  const groups = column.kind === "number" && /cluster|label/i.test(column.name);
  const key = (i) => (column.kind === "number" ? column.plot[i] : column.raw[i]);
  const gone = (value) => Number.isNaN(value) || (column.kind === "bool" ? value > 1 : column.kind === "text" && value === 0);
  const sizes = new Map();
  for (let i = 0; i < n; i++) if (!gone(key(i))) sizes.set(key(i), (sizes.get(key(i)) ?? 0) + 1);
  const bySize = [...sizes.keys()].sort((a, b) => sizes.get(b) - sizes.get(a) || a - b);
  const nameOf = (value) => (column.kind === "text" ? column.words[value - 1] : column.kind === "bool" ? (value ? tr("yes") : tr("no"))
    : groups && value === -1 ? tr("none") : String(value));
  const compare = column.kind === "text" ? (a, b) => nameOf(a).localeCompare(nameOf(b), "en", { numeric: true })
    : column.kind === "bool" ? (a, b) => b - a : (a, b) => (groups && (a === -1) !== (b === -1) ? (a === -1 ? 1 : -1) : a - b);
  const own = bySize.slice(0, bySize.length > MOST_BINS ? MOST_BINS - 1 : MOST_BINS).sort(compare);
  const names = own.map(nameOf);
  const place = new Map(own.map((value, k) => [value, k]));
  const others = bySize.length - own.length;
  if (others) names.push(tr("{n} others", { n: others }));
  const of = Int32Array.from({ length: n }, (_, i) => (gone(key(i)) ? names.length : place.get(key(i)) ?? own.length));
  const plain = column.kind === "text" ? names : names.map((name) => `${column.name} ${name}`);
  return { of, names: [...names, tr("missing")], full: [...plain, tr("{name} missing", { name: column.name })], kept: false };
}

function binsOfNumbers(column, n, asked) {
  const values = column.plot;
  const sorted = Float64Array.from(values.filter((value) => Number.isFinite(value))).sort();
  if (!sorted.length) return { of: new Int32Array(n), names: [tr("missing")], kept: false };
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.round(share * (sorted.length - 1)))];
  let [low, high] = [at(0.01), at(0.99)];
  if (high <= low) [low, high] = [sorted[0], sorted.at(-1)];
  if (high <= low) high = low + (Math.abs(low) || 1);
  const step = column.kind === "time" ? TIME_STEPS.find((each) => each >= (high - low) / asked) ?? niceStep(high - low, asked)
    : niceStep(high - low, asked);
  const first = Math.floor(low / step + 1e-9);
  const size = Math.max(1, Math.ceil(high / step - 1e-9) - first);
  const told = column.kind === "time" ? (value) => iso(value).slice(0, step >= DAY ? 10 : step >= 60000 ? 16 : 19)
    : (value) => brief(Number(value.toPrecision(12)));
  const edge = (k) => told((first + k) * step);
  const names = Array.from({ length: size }, (_, k) => (column.kind === "time" ? edge(k) : tr("{from} to {to}", { from: edge(k), to: edge(k + 1) })));
  if (sorted[0] < first * step) names[0] = tr("below {edge}", { edge: edge(1) });
  if (sorted.at(-1) >= (first + size) * step) names[size - 1] = tr("{edge} or more", { edge: edge(size - 1) });
  const of = Int32Array.from(values, (value) => (Number.isNaN(value) ? size
    : Math.max(0, Math.min(size - 1, Math.floor(value / step + 1e-9) - first))));
  return { of, names: [...names, tr("missing")], kept: true };
}

// ---------------------------------------------------------------- where the tiles lie, in units of a tile's width

// Bins that have a row to show; of numbers also the empty ones between them.
function usedBins(bins, rows) {
  const sizes = new Int32Array(bins.names.length);
  for (const i of rows) sizes[bins.of[i]] += 1;
  const used = [];
  const last = bins.names.length - 1;
  const [from, to] = bins.kept ? [sizes.findIndex((size) => size > 0), sizes.subarray(0, last).findLastIndex((size) => size > 0)] : [0, -1];
  for (let k = 0; k < sizes.length; k++) if (sizes[k] || (k >= from && k <= to && k < last)) used.push(k);
  return { used, sizes };
}

// How wide the columns of bins are, in tiles, and how high the rows: as large as fits the space. Without rows all columns
// are equally wide, so that their heights can be compared; with rows a fuller column is wider.
function sizesOfBins(sizes, nx, ny, aspect, space) {
  const full = Array.from({ length: nx }, (_, c) => Math.max(1, ...Array.from({ length: ny }, (_, r) => sizes[r * nx + c])));
  const most = Math.max(...full);
  const tried = (k) => {
    const wide = full.map((n) => (ny === 1 ? k : Math.max(1, Math.round(k * Math.sqrt(n / most)))));
    const high = Array.from({ length: ny }, (_, r) => Math.max(1, ...wide.map((w, c) => Math.ceil(sizes[r * nx + c] / w))) * aspect);
    const [width, height] = [wide, high].map((parts) => parts.reduce((sum, part) => sum + part + GAP, -GAP));
    return { wide, high, width, height, scale: Math.min(space[0] / width, space[1] / height) };
  };
  let best = tried(1);
  for (let k = 2; k <= most; k = Math.max(k + 1, Math.round(k * 1.02))) {
    const next = tried(k);
    if (next.scale > best.scale) best = next;
  }
  // Room that is left is given to the gaps.
  const gaps = [[nx, space[0] / best.scale - best.width], [ny, space[1] / best.scale - best.height]].map(
    ([n, left]) => (n > 1 ? GAP + Math.max(0, Math.min(2, left / (n - 1))) : GAP));
  return { ...best, gaps, width: best.width + (gaps[0] - GAP) * (nx - 1), height: best.height + (gaps[1] - GAP) * (ny - 1) };
}

// Tiles in rows and columns of bins.
function layOutBins(rows, across, down, aspect, space) {
  const [x, y] = [usedBins(across, rows), usedBins(down, rows)];
  const [placeX, placeY] = [new Map(x.used.map((k, j) => [k, j])), new Map(y.used.map((k, j) => [k, j]))];
  const [nx, ny] = [Math.max(1, x.used.length), Math.max(1, y.used.length)];
  const cell = Int32Array.from(rows, (i) => placeY.get(down.of[i]) * nx + placeX.get(across.of[i]));
  const sizes = new Int32Array(nx * ny);
  for (const k of cell) sizes[k] += 1;
  const { wide, high, width, height, gaps } = sizesOfBins(sizes, nx, ny, aspect, space);
  const starts = (parts, gap) => parts.reduce((ends, part) => [...ends, ends.at(-1) + part + gap], [0]);
  const [lefts, tops] = [starts(wide, gaps[0]), starts(high, gaps[1])];
  const [filled, xs, ys] = [new Int32Array(nx * ny), new Float32Array(rows.length), new Float32Array(rows.length)];
  for (let j = 0; j < rows.length; j++) {
    const [c, r] = [cell[j] % nx, Math.floor(cell[j] / nx)];
    const k = filled[cell[j]]++;
    xs[j] = lefts[c] + (k % wide[c]);
    ys[j] = tops[r] + Math.floor(k / wide[c]) * aspect;
  }
  const heads = (bins, { used, sizes: counted }, from, parts) => used.map((k, j) => ({ name: bins.names[k], full: bins.full?.[k], size: counted[k], from: from[j], to: from[j] + parts[j] }));
  return { xs, ys, width, height, columns: heads(across, x, lefts, wide), lines: heads(down, y, tops, high), sizes, nx, map: false };
}

// Tiles at their places on a map, as large as leaves most of them to be seen; `up` where y grows upwards, as on paper.
function layOutMap(rows, x, y, aspect, space) {
  const ends = (values) => rows.reduce(([a, b], i) => (Number.isFinite(values[i]) ? [Math.min(a, values[i]), Math.max(b, values[i])] : [a, b]), [Infinity, -Infinity]);
  const [[x0, x1], [y0, y1]] = [ends(x), ends(y)];
  const [w, h] = [x1 - x0 || 1, y1 - y0 || 1];
  const side = Math.max(2, Math.sqrt(rows.length * aspect) * 1.5);
  const shape = Math.max(0.4, Math.min(2.5, space[0] / space[1]));
  const [width, height] = [side * Math.sqrt(shape), side / Math.sqrt(shape)];
  const there = rows.filter((i) => Number.isFinite(x[i]) && Number.isFinite(y[i]));
  return { rows: there, xs: Float32Array.from(there, (i) => ((x[i] - x0) / w) * (width - 1)),
    ys: Float32Array.from(there, (i) => ((y1 - y[i]) / h) * (height - aspect)), width, height, columns: [], lines: [], map: true };
}

// ---------------------------------------------------------------- the stage: tiles, zoom, lasso

class Stage {
  constructor(app) {
    this.app = app;
    this.canvas = element("canvas", { class: "gx-canvas", "aria-hidden": "true" });
    this.marks = element("canvas", { class: "gx-canvas", "aria-hidden": "true" });
    this.area = element("div", { class: "gx-stage", tabindex: "0", role: "application", "aria-label": tr("All pictures. Arrows go from picture to picture, Enter selects, plus and minus zoom, 0 shows all, L is the lasso.") }, this.canvas, this.marks);
    this.hover = -1;
    this.listen();
  }

  resize() {
    const [width, height] = [this.area.clientWidth, this.area.clientHeight];
    if (!width || !height) return false;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    if (width === this.w && height === this.h && ratio === this.ratio) return false;
    [this.w, this.h, this.ratio] = [width, height, ratio];
    for (const canvas of [this.canvas, this.marks]) [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    return true;
  }

  get margins() {
    const { columns, lines } = this.layout;
    const named = (bins) => bins.length > 1 || (bins.length === 1 && bins[0].name !== "");
    return [named(lines) ? this.side : 6, named(columns) ? HEAD : 6];
  }

  // Room for the names of rows.
  setSide(names) {
    const context = this.canvas.getContext("2d", { alpha: false, ...IN_MEMORY });
    context.font = BOLD;
    const widest = names.reduce((most, name) => Math.max(most, context.measureText(name.slice(0, 60)).width), 30);
    this.side = Math.min(SIDE, Math.max(110, this.w * 0.25), widest + 24); // a date has room at any width
  }

  // The room that tiles have, in the pixels of the page.
  get space() {
    return [Math.max(50, this.w - (this.app.rowField ? this.side : 6) - 6), Math.max(50, this.h - (this.app.columnField ? HEAD : 6) - 6)];
  }

  arrange(layout, rows) {
    this.layout = layout;
    this.rows = layout.rows ?? Int32Array.from(rows);
    this.at = new Int32Array(this.app.n).fill(-1);
    this.rows.forEach((i, j) => { this.at[i] = j; });
    this.reset();
  }

  reset() {
    const [left, top] = this.margins;
    const [w, h] = [this.w - left - 6, this.h - top - 6];
    this.fit = Math.min(w / this.layout.width, h / this.layout.height, 240);
    this.scale = this.fit;
    this.x = left + (this.layout.map || !this.app.columnField ? Math.max(0, (w - this.layout.width * this.scale) / 2) : 0);
    this.y = top + (this.layout.map ? Math.max(0, (h - this.layout.height * this.scale) / 2) : 0);
    this.paint();
  }

  // Pixels of a tile. On a map tiles grow more slowly than the distances between them, so that a crowd comes apart.
  get tile() {
    return this.layout.map ? Math.min(MOST_ZOOM, this.fit * Math.sqrt(this.scale / this.fit)) : this.scale;
  }

  zoom(factor, px = this.w / 2, py = this.h / 2) {
    const most = this.layout.map ? this.fit * 200 : Math.max(MOST_ZOOM, this.fit);
    const scale = Math.max(this.fit * 0.5, Math.min(most, this.scale * factor));
    this.x = px - ((px - this.x) * scale) / this.scale;
    this.y = py - ((py - this.y) * scale) / this.scale;
    this.scale = scale;
    this.paint();
  }

  pan(dx, dy) {
    [this.x, this.y] = [this.x + dx, this.y + dy];
    this.paint();
  }

  place(j) {
    return [this.x + this.layout.xs[j] * this.scale, this.y + this.layout.ys[j] * this.scale];
  }

  // Only once for each frame that the screen shows.
  paint() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.drawAll();
    });
  }

  drawAll() {
    if (!this.layout || !this.w) return;
    const begun = performance.now();
    const context = this.canvas.getContext("2d", { alpha: false, ...IN_MEMORY });
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    const seen = this.inSight();
    if (this.tile * this.ratio < SMALL) this.putTiles(context, seen);
    else {
      context.fillStyle = this.app.colour("--sea");
      context.fillRect(0, 0, this.w, this.h);
      this.drawFrames(context, seen);
      this.drawTiles(context, seen);
      this.drawSelected(context, seen);
    }
    this.drawHeads(context);
    this.nInSight = seen.length;
    this.took = performance.now() - begun;
    this.drawMarks();
  }

  // Thousands of small tiles: their pixels are copied by hand, which is ten times as quick as drawing each of them.
  putTiles(context, seen) {
    const { app, ratio } = this;
    const { sheets, tint, selected, unread } = app;
    const [W, H] = [this.canvas.width, this.canvas.height];
    if (this.image?.width !== W || this.image?.height !== H) this.image = context.createImageData(W, H);
    const out = new Uint32Array(this.image.data.buffer);
    out.fill(packed(rgba(app.colour("--sea"))));
    const [pick, grey] = [packed(rgba(app.colour("--pick"))), packed(rgba(app.colour("--none")))];
    const frames = tint ? tint.colours.map((colour) => packed(colour)) : [];
    const [w, h] = [this.tile * ratio, this.tile * sheets.aspect * ratio];
    const [k, rim] = [sheets.depth(w), Math.max(1, Math.round(w * 0.08))];
    const { xs, ys } = this.layout;
    for (const j of seen) { // no lists are made in here: it runs for every picture
      const i = this.rows[j];
      const [x, y] = [(this.x + xs[j] * this.scale) * ratio, (this.y + ys[j] * this.scale) * ratio];
      let [x0, y0, x1, y1] = [Math.round(x), Math.round(y), Math.round(x + w), Math.round(y + h)];
      const frame = selected[i] ? pick : tint && tint.of[i] !== tint.plain ? frames[tint.of[i]] : -1;
      if (frame >= 0) {
        fillPixels(out, W, H, x0, y0, x1, y1, frame);
        [x0, y0, x1, y1] = [x0 + rim, y0 + rim, x1 - rim, y1 - rim];
      }
      if (unread[i]) fillPixels(out, W, H, x0, y0, x1, y1, grey);
      else {
        const level = sheets.pixels(Math.floor(i / sheets.per_sheet), k);
        const at = i % sheets.per_sheet;
        copyPixels(out, W, H, x0, y0, x1, y1, level, (at % sheets.across) * level.w, Math.floor(at / sheets.across) * level.h);
      }
    }
    context.putImageData(this.image, 0, 0);
  }

  // The tiles that are on the canvas, in the order in which they are drawn: on a map the odd ones last, on top.
  inSight() {
    const { xs, ys } = this.layout;
    const [w, h] = [this.tile, this.tile * this.app.sheets.aspect];
    const seen = [];
    for (let j = 0; j < this.rows.length; j++) {
      const [x, y] = [this.x + xs[j] * this.scale, this.y + ys[j] * this.scale];
      if (x > -w && y > -h && x < this.w && y < this.h) seen.push(j);
    }
    return seen;
  }

  // A tile fills most of its place; what is left shows the colour of its field.
  inner() {
    const [w, h] = [this.tile, this.tile * this.app.sheets.aspect];
    const rim = this.app.tint ? Math.max(0.8, Math.min(5, w * 0.07)) : 0;
    const air = w < 6 ? 0 : Math.min(2, w * 0.03);
    return { w, h, rim, air };
  }

  drawFrames(context, seen) {
    const { tint } = this.app;
    if (!tint) return;
    const { w, h, air } = this.inner();
    const byColour = new Map();
    for (const j of seen) {
      const k = tint.of[this.rows[j]];
      if (tint.plain === k) continue;
      if (!byColour.has(k)) byColour.set(k, []);
      byColour.get(k).push(j);
    }
    for (const [k, some] of byColour) {
      context.fillStyle = `rgb(${tint.colours[k].join()})`;
      for (const j of some) {
        const [x, y] = this.place(j);
        context.fillRect(x + air / 2, y + air / 2, w - air, h - air);
      }
    }
  }

  drawTiles(context, seen) {
    const { sheets, tint, unread } = this.app;
    const { w, h, rim, air } = this.inner();
    context.imageSmoothingEnabled = true;
    const pixels = w * this.ratio;
    for (const j of seen) {
      const i = this.rows[j];
      const [x, y] = this.place(j);
      const inset = air / 2 + (tint && tint.of[i] !== tint.plain ? rim : 0);
      if (unread[i]) this.drawUnread(context, i, x + inset, y + inset, w - 2 * inset, h - 2 * inset);
      else sheets.draw(context, i, x + inset, y + inset, w - 2 * inset, h - 2 * inset, pixels);
    }
  }

  // A picture that could not be read: a grey tile with a cross, and its name where there is room for it.
  drawUnread(context, i, x, y, w, h) {
    context.fillStyle = this.app.colour("--none");
    context.fillRect(x, y, w, h);
    context.strokeStyle = this.app.colour("--paper");
    context.lineWidth = Math.max(0.5, w / 60);
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + w, y + h);
    context.moveTo(x + w, y);
    context.lineTo(x, y + h);
    context.stroke();
    if (w < 44) return;
    context.font = `${Math.max(9, Math.min(13, w / 8))}px system-ui, sans-serif`;
    context.fillStyle = this.app.colour("--ink");
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(fitText(context, this.app.nameOf(i), w - 6), x + w / 2, y + h / 2);
  }

  drawSelected(context, seen) {
    if (!this.app.nSelected) return;
    const { w, h } = this.inner();
    context.strokeStyle = this.app.colour("--pick");
    context.lineWidth = Math.max(1, Math.min(4, w * 0.12));
    const half = context.lineWidth / 2;
    context.beginPath();
    for (const j of seen) {
      if (!this.app.selected[this.rows[j]]) continue;
      const [x, y] = this.place(j);
      context.rect(x + half, y + half, w - 2 * half, h - 2 * half);
    }
    context.stroke();
  }

  // Names and sizes of the bins. They stay at the edge while the tiles move below them.
  drawHeads(context) {
    const [left, top] = this.margins;
    const { columns, lines } = this.layout;
    const paper = this.app.colour("--paper");
    context.textBaseline = "middle";
    if (left > 6) {
      context.fillStyle = paper;
      context.fillRect(0, 0, left - 4, this.h);
      context.textAlign = "right";
      let last = -Infinity;
      for (const line of lines) {
        const [from, to] = [Math.max(top, this.y + line.from * this.scale), Math.min(this.h, this.y + line.to * this.scale)];
        const middle = to - from > 60 ? from + 16 : (from + to) / 2;
        if (to < from || middle - last < (to - from > 26 ? 27 : 13)) continue;
        last = middle;
        this.drawHead(context, line, left - 10, middle, left - 16, to - from > 26);
      }
    }
    if (top > 6) {
      context.fillStyle = paper;
      context.fillRect(0, 0, this.w, top - 4);
      context.textAlign = "center";
      this.drawColumnHeads(context, columns, left);
    }
  }

  // A head stands whole or not at all: where columns are narrow, some go without a name, and keep their count.
  drawColumnHeads(context, columns, left) {
    const wide = (text, font) => {
      context.font = font;
      return context.measureText(text).width;
    };
    const step = columns.length > 1 ? (columns[1].from - columns[0].from) * this.scale : this.w;
    let [named, counted] = [left - 12, left - 12]; // how far names and counts reach
    const put = (text, font, colour, middle, y, most, reach) => {
      const size = Math.min(most, wide(text, font));
      const x = Math.max(Math.max(left - 10, 3) + size / 2, Math.min(this.w - 3 - size / 2, middle));
      if (x - size / 2 < reach) return reach;
      context.fillStyle = this.app.colour(colour);
      context.fillText(fitText(context, text, most + 1), x, y);
      return x + size / 2 + 6;
    };
    for (const column of columns) {
      const [from, to] = [this.x + column.from * this.scale, this.x + column.to * this.scale];
      if (to < left || from > this.w) continue;
      const middle = Math.max(left, from) / 2 + Math.min(this.w, to) / 2;
      const room = Math.max(step, to - from) - 4;
      const name = column.full && wide(column.full, BOLD) <= room ? column.full : column.name;
      named = put(name, BOLD, "--ink", middle, 9, Math.max(room, 150), named);
      counted = put(count(column.size), SMALL_FONT, "--ink2", middle, 23, Math.max(room, 60), counted);
    }
  }

  drawHead(context, bin, x, y, room, both) {
    context.font = BOLD;
    context.fillStyle = this.app.colour("--ink");
    const full = bin.full && context.measureText(bin.full).width <= room ? bin.full : bin.name;
    context.fillText(fitText(context, full, room), x, both ? y - 6 : y);
    if (!both) return;
    context.font = SMALL_FONT;
    context.fillStyle = this.app.colour("--ink2");
    context.fillText(count(bin.size), x, y + 8);
  }

  // What changes with the mouse: the lasso, the tile below it, the tile that is open.
  drawMarks() {
    const context = this.marks.getContext("2d", IN_MEMORY);
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.w, this.h);
    const { w, h } = this.inner();
    const ring = (i, colour, width) => {
      const j = this.at[i] ?? -1;
      if (j < 0) return;
      const [x, y] = this.place(j);
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.strokeRect(x - width / 2, y - width / 2, Math.max(4, w) + width, Math.max(4, h) + width);
    };
    for (const i of this.app.nearOf(this.app.current)) ring(i, this.app.colour("--near"), 2);
    if (this.hover >= 0) ring(this.hover, this.app.colour("--ink"), 1.5);
    ring(this.app.current, this.app.colour("--paper"), 5);
    ring(this.app.current, this.app.colour("--ink"), 3);
    if (!this.lasso) return;
    context.beginPath();
    this.lasso.forEach(([x, y], k) => (k ? context.lineTo(x, y) : context.moveTo(x, y)));
    context.closePath();
    context.globalAlpha = 0.18;
    context.fillStyle = this.app.colour("--pick");
    context.fill();
    context.globalAlpha = 1;
    context.lineWidth = 2;
    context.strokeStyle = this.app.colour("--pick");
    context.stroke();
  }

  // The picture at a place of the canvas; the topmost where they overlap.
  hit(px, py) {
    const [w, h] = [this.tile, this.tile * this.app.sheets.aspect];
    const [left, top] = this.margins;
    if (px < left - 4 || py < top - 4) return -1;
    for (let j = this.rows.length - 1; j >= 0; j--) {
      const [x, y] = this.place(j);
      if (px >= x && py >= y && px < x + w && py < y + h) return this.rows[j];
    }
    return -1;
  }

  // Whether the middle of a picture lies in a polygon.
  inside(polygon) {
    const [dx, dy] = [this.tile / 2, (this.tile * this.app.sheets.aspect) / 2];
    return (i) => {
      if (this.at[i] < 0) return false;
      const [px, py] = this.place(this.at[i]);
      const [x, y] = [px + dx, py + dy];
      let odd = false;
      for (let a = 0, b = polygon.length - 1; a < polygon.length; b = a++) {
        const [[xa, ya], [xb, yb]] = [polygon[a], polygon[b]];
        if (ya > y !== yb > y && x < ((xb - xa) * (y - ya)) / (yb - ya) + xa) odd = !odd;
      }
      return odd;
    };
  }

  listen() {
    const { area } = this;
    this.held = null; // where the pointer was that drags
    pinchable(area, (factor, middle, shift) => {
      this.zoom(factor, ...middle);
      this.pan(...shift);
    }, () => {
      this.held = null;
      this.lasso = null;
      this.drawMarks();
    });
    const place = (event) => {
      const box = area.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    area.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      const [x, y] = this.held = place(event);
      area.setPointerCapture(event.pointerId);
      area.focus({ preventScroll: true });
      this.start = { x, y, moved: false };
      this.lasso = this.app.lassoing ? [[x, y]] : null;
    });
    area.addEventListener("pointermove", (event) => this.moved(place(event)));
    const end = (event) => this.ended(event, place(event));
    area.addEventListener("pointerup", end);
    area.addEventListener("pointercancel", end);
    area.addEventListener("pointerleave", () => this.pointAt(-1));
    area.addEventListener("dblclick", (event) => this.zoom(2.5, ...place(event)));
    // Only a stage that has the focus takes the wheel; else the page could not be scrolled past it.
    area.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && document.activeElement !== area) return;
      event.preventDefault();
      this.zoom(Math.exp(-Math.max(-1, Math.min(1, event.deltaY / 400))), ...place(event));
    }, { passive: false });
    area.addEventListener("keydown", (event) => this.pressed(event));
  }

  moved([x, y]) {
    if (!this.held) return this.pointAt(this.hit(x, y));
    if (Math.hypot(x - this.start.x, y - this.start.y) > 4) this.start.moved = true;
    if (!this.start.moved) return;
    if (this.lasso) {
      this.lasso.push([x, y]);
      return this.drawMarks();
    }
    this.pan(x - this.held[0], y - this.held[1]);
    this.held = [x, y];
  }

  ended(event, [x, y]) {
    if (!this.held) return;
    this.held = null;
    if (this.lasso && this.start.moved && event.type === "pointerup") this.app.selectWhere(this.inside(this.lasso), event);
    else if (!this.start.moved && event.type === "pointerup") {
      const i = this.hit(x, y);
      if (i >= 0 && (event.ctrlKey || event.metaKey || event.shiftKey)) this.app.toggle(i);
      else this.app.open(i);
    }
    this.lasso = null;
    this.drawMarks();
  }

  pointAt(i) {
    if (i === this.hover) return;
    this.hover = i;
    this.app.say(i);
    this.drawMarks();
  }

  pressed(event) {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (arrow && event.shiftKey) this.pan(-arrow[0] * 60, -arrow[1] * 60);
    else if (arrow) this.step(...arrow);
    else if (event.key === "+" || event.key === "=") this.zoom(1.5);
    else if (event.key === "-") this.zoom(1 / 1.5);
    else if (event.key === "0") this.reset();
    else if (event.key === "l" || event.key === "L") this.app.setLasso(!this.app.lassoing);
    else if ((event.key === "Enter" || event.key === " ") && this.app.current >= 0) this.app.toggle(this.app.current);
    else return;
    event.preventDefault();
  }

  // From the open picture to the nearest one in a direction.
  step(dx, dy) {
    const from = this.at[this.app.current] ?? -1;
    if (from < 0) return this.app.open(this.rows[0] ?? -1);
    const { xs, ys } = this.layout;
    let [best, least] = [-1, Infinity];
    for (let j = 0; j < this.rows.length; j++) {
      const [x, y] = [xs[j] - xs[from], (ys[j] - ys[from]) / this.app.sheets.aspect];
      const [along, aside] = [x * dx + y * dy, Math.abs(x * dy) + Math.abs(y * dx)];
      const far = along + 4 * aside;
      if (j !== from && along > 1e-4 && aside <= along * 1.5 && far < least) [best, least] = [j, far];
    }
    if (best < 0) return;
    this.app.open(this.rows[best]);
    this.bring(best);
  }

  // Moves the tiles so that one of them can be seen.
  bring(j) {
    const [x, y] = this.place(j);
    const [left, top] = this.margins;
    const [w, h] = [this.tile, this.tile * this.app.sheets.aspect];
    const dx = x < left ? left - x : x + w > this.w ? this.w - x - w : 0;
    const dy = y < top ? top - y : y + h > this.h ? this.h - y - h : 0;
    if (dx || dy) this.pan(dx, dy);
  }
}

function fillPixels(out, W, H, x0, y0, x1, y1, colour) {
  const [left, right] = [Math.max(0, x0), Math.min(W, x1)];
  if (left >= right) return;
  for (let y = Math.max(0, y0); y < Math.min(H, y1); y++) out.fill(colour, y * W + left, y * W + right);
}

// A tile of a sheet into a box of an image; each pixel takes the one of the tile that lies below its middle.
function copyPixels(out, W, H, x0, y0, x1, y1, { data, width, w, h }, left, top) {
  const [right, bottom] = [Math.min(W, x1), Math.min(H, y1)];
  const [dx, dy] = [w / (x1 - x0), h / (y1 - y0)];
  for (let y = Math.max(0, y0); y < bottom; y++) {
    const from = (top + (((y - y0 + 0.5) * dy) | 0)) * width + left;
    for (let x = Math.max(0, x0), to = y * W + x; x < right; x++, to++) out[to] = data[from + (((x - x0 + 0.5) * dx) | 0)];
  }
}

// As much of a text as has room.
function fitText(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  let [low, high] = [0, Math.min(text.length, 200)];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (context.measureText(`${text.slice(0, middle)}…`).width <= room) low = middle;
    else high = middle - 1;
  }
  return low ? `${text.slice(0, low)}…` : "";
}

// ---------------------------------------------------------------- the page

export class Gallery extends RowPage {
  constructor(root, meta, bytes, sheets) {
    super();
    [this.root, this.meta, this.n, this.sheets] = [root, meta, meta.n, sheets];
    this.columns = new Map(meta.columns.map((info) => [info.name, new Column(info, bytes)]));
    this.near = meta.near ? { k: meta.near.k, rows: unpack(bytes, meta.near) } : null;
    [this.selected, this.shown] = [new Uint8Array(this.n), new Uint8Array(this.n).fill(1)];
    [this.nSelected, this.nShown, this.current, this.lassoing] = [0, this.n, -1, false];
    this.idColumn = this.columns.get("id") ?? this.columns.get("path");
    const unread = this.columns.get("not_read");
    this.unread = Uint8Array.from({ length: this.n }, (_, i) => (unread?.value(i) ? 1 : 0));
    this.flag = this.columns.get("outlier");
    this.build();
    this.readColours();
    this.setColour(meta.view.colour);
    this.watch();
    this.stage.resize();
    this.arrange();
    this.refresh();
    this.showCard();
  }

  colour(name) {
    return this.colours[name];
  }

  nameOf(i) {
    return this.idColumn?.text(i) || tr("picture {k}", { k: i });
  }

  isOdd(i) {
    return Boolean(this.flag && this.flag.value(i));
  }

  // ------------------------------------------------ building

  build() {
    const { meta } = this;
    const id = `gx${(serial += 1)}`;
    this.root.className = "ox gx";
    this.stage = new Stage(this);
    const theme = element("button", { type: "button", class: "ox-button", text: tr("Light / dark"), onclick: () => this.turn() });
    this.tip = element("p", { class: "ox-tip", "aria-live": "polite" });
    this.legend = element("div", { class: "ox-legend" });
    this.card = element("section", { class: "ox-panel gx-card", "aria-label": tr("The picture that is open") });
    this.root.append(
      element("header", { class: "ox-top" }, element("div", {}, element("h1", { text: meta.title }), element("p", { class: "ox-sub", text: meta.subtitle })), theme),
      this.buildControls(id),
      element("div", { class: "gx-main" },
        element("section", { class: "ox-panel gx-tiles", "aria-label": tr("Pictures") }, this.buildTools(), this.stage.area, this.legend, this.tip),
        element("div", { class: "gx-side" }, ...(meta.maps.length ? [this.buildMini()] : []), this.card)),
      this.buildHelp(),
      element("footer", { class: "ox-notes" }, ...meta.notes.map((text) => element("p", { text }))));
    this.watchEscape();
  }

  fields(first) {
    return [{ name: "", label: first }, ...[...this.columns.values()].map((column) => ({ name: column.name, label: column.label }))];
  }

  buildControls(id) {
    const { view, maps } = this.meta;
    [this.columnField, this.rowField, this.orderField, this.mapName, this.nBins] = [view.columns, view.rows, view.order, "", 12];
    const change = (name) => (value) => {
      this[name] = value;
      this.arrange();
    };
    const places = [{ name: "", label: tr("in bins") }, ...maps.map(({ name, label }) => ({ name, label: tr("on a map: {label}", { label }) }))];
    this.placeChoice = choice(tr("Position by"), places, "", (value) => this.setMap(value));
    this.columnChoice = choice(tr("Columns"), this.fields(tr("nothing")), view.columns, change("columnField"));
    this.rowChoice = choice(tr("Rows"), this.fields(tr("nothing")), view.rows, change("rowField"));
    this.binChoice = choice(tr("Bins"), [6, 12, 25, 50].map((n) => ({ name: String(n), label: tr("about {n}", { n }) })), "12", (value) => {
      this.nBins = Number(value);
      this.arrange();
    });
    const names = [...this.columns.values()].flatMap((column) => [{ name: `-${column.name}`, label: tr("{name}, highest first", { name: column.label }) },
      { name: `+${column.name}`, label: tr("{name}, lowest first", { name: column.label }) }]);
    this.orderChoice = choice(tr("Order"), [{ name: "", label: tr("as in the table") }, ...names], view.order, change("orderField"));
    this.colourChoice = choice(tr("Colour"), [...(this.flag ? [{ name: "", label: tr("odd or not") }] : [{ name: "", label: tr("none") }]), ...this.fields("").slice(1)], view.colour,
      (value) => this.setColour(value));
    const bins = [this.labelled(tr("Columns"), this.columnChoice), this.labelled(tr("Rows"), this.rowChoice), this.labelled(tr("Bins of numbers"), this.binChoice), this.labelled(tr("Order in a bin"), this.orderChoice)];
    this.binControls = bins;
    return element("div", { class: "ox-controls gx-controls" },
      element("div", { class: "gx-choices" }, ...(maps.length ? [this.labelled(tr("Position"), this.placeChoice)] : []), ...bins, this.labelled(tr("Colour"), this.colourChoice)),
      this.buildFilter(id));
  }

  buildFilter(id) {
    this.filterBox = element("input", { id: `${id}f`, type: "text", spellcheck: "false", autocomplete: "off", placeholder: this.meta.view.example,
      "aria-describedby": `${id}e` });
    this.filterError = element("p", { id: `${id}e`, class: "ox-error", role: "status" });
    const apply = () => this.filterBox.value !== this.filterText && this.setFilter(this.filterBox.value);
    this.filterBox.addEventListener("input", () => this.soon(apply));
    this.filterBox.addEventListener("keydown", (event) => event.key === "Enter" && apply());
    this.filterBox.addEventListener("change", apply);
    this.counted = element("output", { class: "ox-count", "aria-live": "polite", "aria-atomic": "true" });
    return element("div", { class: "ox-filter" }, element("label", { for: `${id}f`, text: tr("Filter") }), this.filterBox, this.filterError);
  }

  buildTools() {
    const button = (text, act, more = {}) => element("button", { type: "button", class: "ox-button", text, onclick: act, ...more });
    this.lassoButton = button(tr("Lasso"), () => this.setLasso(!this.lassoing), { "aria-pressed": "false", title: tr("Draw around pictures; Shift adds, Alt takes away") });
    this.allButton = button(tr("Select all shown"), () => this.selectWhere(() => true));
    this.clearButton = button(tr("Clear selection"), () => this.setSelected([]));
    this.exportButton = button(tr("Export ids"), () => this.download());
    const tool = (text, label, act) => element("button", { type: "button", class: "ox-tool", text, "aria-label": label, title: label, onclick: act });
    return element("div", { class: "ox-head" }, this.counted,
      element("div", { class: "ox-buttons gx-buttons" }, this.lassoButton, this.allButton, this.clearButton, this.exportButton,
        element("span", { class: "ox-tools" }, tool("+", tr("Zoom in"), () => this.stage.zoom(1.5)), tool("−", tr("Zoom out"), () => this.stage.zoom(1 / 1.5)),
          tool(tr("All"), tr("Show all"), () => this.stage.reset()))));
  }

  buildMini() {
    this.mini = element("canvas", { class: "gx-mini", role: "img", "aria-label": tr("A map of the pictures; the open one has a ring") });
    const { maps } = this.meta;
    [this.miniName] = [maps[0].name];
    this.miniChoice = choice(tr("Small map"), maps, this.miniName, (value) => {
      this.miniName = value;
      this.drawMini();
    });
    this.mini.addEventListener("click", (event) => this.openNearest(event));
    return element("section", { class: "ox-panel", "aria-label": tr("Small map") }, element("div", { class: "ox-head" }, element("h2", { text: tr("Map") }), this.miniChoice), this.mini);
  }

  buildHelp() {
    const lines = [tr("A tile is a picture. Click one to see what is known of it; its nearest pictures get a green frame."),
      tr("Drag to move, wheel or + and − to zoom (click the pictures first), two fingers on a touch screen. All (key 0) shows everything again."),
      tr("Choose what makes columns and rows. Numbers are cut into about as many bins as you ask for; the first and the last take what lies far out."),
      tr("Lasso (key L): draw around pictures to select them. Shift adds to the selection, Alt takes away. Shift and a click select one."),
      tr("Export ids writes the selected pictures, or all that are shown, as CSV: number of the row in the table (from 0), id, path."),
      tr("Filter, for example: {examples}", { examples: `${this.meta.view.example}   ${tr("or")}   reason contains "dark"   ${tr("or")}   score > 2 and not copies > 0   ${tr("or")}   not_read is not missing   ${tr("or")}   selected` }),
      tr("Keys, when the pictures have the focus: arrows go to the next picture, Shift and arrows move all, Enter selects, Escape closes.")];
    return element("details", { class: "ox-panel gx-help" }, element("summary", { text: tr("Help") }), ...lines.map((text) => element("p", { text })));
  }

  // ------------------------------------------------ arranging

  rowsShown() {
    const rows = [];
    for (let i = 0; i < this.n; i++) if (this.shown[i]) rows.push(i);
    const column = this.columns.get(this.orderField?.slice(1));
    if (!column || this.mapName) return this.mapName ? rows.sort((a, b) => this.isOdd(a) - this.isOdd(b)) : rows;
    const sign = this.orderField[0] === "-" ? -1 : 1;
    const text = column.kind === "text";
    const ranks = text ? [...column.words.keys()].sort((a, b) => (column.words[a] < column.words[b] ? -1 : 1)) : null;
    const place = new Float64Array(text ? column.words.length + 1 : 0).fill(NaN);
    ranks?.forEach((word, rank) => { place[word + 1] = rank; });
    const key = Float64Array.from({ length: this.n }, (_, i) => (text ? place[column.raw[i]] : column.plot[i]));
    return rows.sort((a, b) => { // what is missing comes last, either way
      const [gone, left] = [Number.isNaN(key[a]), Number.isNaN(key[b])];
      return gone || left ? gone - left || a - b : sign * (key[a] - key[b]) || a - b;
    });
  }

  arrange() {
    const rows = this.rowsShown();
    const map = this.meta.maps.find((each) => each.name === this.mapName);
    for (const control of this.binControls) control.hidden = Boolean(map);
    const { aspect } = this.sheets;
    if (map) {
      const layout = layOutMap(rows, this.columns.get(map.x).plot, this.columns.get(map.y).plot, aspect, this.stage.space);
      this.unplaced = rows.length - layout.rows.length;
      this.stage.arrange(layout, rows);
    } else {
      this.unplaced = 0;
      const bins = [this.columnField, this.rowField].map((name) => binsOf(this.columns.get(name), this.n, this.nBins));
      this.stage.setSide(bins[1].full ?? bins[1].names);
      this.stage.arrange(layOutBins(rows, ...bins, aspect, this.stage.space), rows);
    }
    this.refresh();
  }

  setMap(name) {
    this.mapName = name;
    this.placeChoice.value = name;
    if (name && this.mini) this.miniName = this.miniChoice.value = name;
    this.arrange();
  }

  setBins(columns, rows) {
    [this.columnField, this.rowField] = [columns, rows];
    [this.columnChoice.value, this.rowChoice.value] = [columns, rows];
    this.arrange();
  }

  // ------------------------------------------------ colours

  setColour(name) {
    const column = this.columns.get(name);
    const [grey, odd] = [rgba(this.colours["--none"]), rgba(this.colours["--odd"])];
    if (column) this.tint = { column, plain: -1, ...(areKinds(column) ? tintOfKinds : tintOfNumbers)(column, this.n, grey) };
    else this.tint = this.flag ? { column: null, plain: 0, of: Uint8Array.from({ length: this.n }, (_, i) => (this.isOdd(i) ? 1 : 0)), colours: [grey, odd] } : null;
    this.colourChoice.value = column ? name : "";
    this.sayColours();
    this.stage.paint();
    this.drawMini();
  }

  sayColours() {
    const swatch = (colour) => {
      const made = element("span", { class: "ox-swatch gx-swatch" });
      made.style.background = colour;
      return made;
    };
    const item = (...parts) => element("span", { class: "ox-item" }, ...parts);
    const parts = [];
    if (this.tint && !this.tint.column) parts.push(item(swatch(this.colours["--odd"]), tr("odd: far from all other pictures")));
    if (this.tint?.ends) {
      const bar = element("span", { class: "ox-swatch ox-bar" });
      bar.style.background = `linear-gradient(to right, ${RAMP.join()})`;
      parts.push(item(this.tint.ends[0], bar, this.tint.ends[1]));
    }
    for (const [colour, text] of this.tint?.legend ?? []) parts.push(item(...(colour ? [swatch(`rgb(${colour.join()})`)] : []), text));
    if (this.nSelected) parts.push(item(swatch(this.colours["--pick"]), agreed("selected", "picture", this.nSelected)));
    if (this.near && this.current >= 0) parts.push(item(swatch(this.colours["--near"]), tr("nearest to the open picture")));
    if (this.meta.n_unread) parts.push(item(swatch(this.colours["--none"]), tr("could not be read")));
    this.legend.replaceChildren(...parts);
  }

  // ------------------------------------------------ filter and selection

  filterColumns() {
    const columns = new Map();
    for (const column of this.columns.values()) columns.set(column.name, { type: column.filterType, value: (i) => column.value(i) });
    if (!columns.has("row")) columns.set("row", { type: "number", value: (i) => i });
    if (!columns.has("selected")) columns.set("selected", { type: "bool", value: (i) => this.selected[i] === 1 });
    return columns;
  }

  setFilter(text) {
    this.filterText = text;
    if (this.filterBox.value !== text) this.filterBox.value = text;
    if (!this.takeFilter(text)) return false;
    this.sieve();
    return true;
  }

  sieve() {
    this.nShown = 0;
    for (let i = 0; i < this.n; i++) this.nShown += this.shown[i] = !this.filter || this.filter.test(i) ? 1 : 0;
    this.arrange();
  }

  selectionChanged() {
    this.nSelected = this.selected.reduce((sum, value) => sum + value, 0);
    if (this.filter?.uses.has("selected")) this.sieve();
    this.stage.paint();
    this.sayColours();
    this.refresh();
  }

  refresh() {
    this.drawMini();
    const parts = [this.nShown === this.n ? plural(this.n, "picture") : tr("{n_shown} of {rows} shown", { n_shown: this.nShown, rows: plural(this.n, "picture") })];
    if (this.flag) {
      let odd = 0;
      for (let i = 0; i < this.n; i++) if (this.shown[i] && this.isOdd(i)) odd += 1;
      parts.push(tr("{n} odd", { n: odd }));
    }
    if (this.unplaced) parts.push(tr("{n} without a place on this map", { n: this.unplaced }));
    if (this.nSelected) parts.push(tr("{n} selected", { n: this.nSelected }));
    this.counted.textContent = parts.join(", ");
    this.clearButton.disabled = !this.nSelected;
    this.exportButton.textContent = tr("Export {what}", { what: plural(this.nSelected || this.nShown, "id") });
    this.exportButton.disabled = !(this.nSelected || this.nShown);
  }

  rowsExported() {
    return markedRows(this.nSelected ? this.selected : this.shown);
  }

  csv() {
    const columns = ["id", "path"].map((name) => this.columns.get(name)).filter(Boolean);
    const lines = [["row", ...columns.map((column) => column.name)].join(",")];
    for (const i of this.rowsExported()) lines.push([String(i), ...columns.map((column) => (column.kind === "text" ? cell(column.text(i)) : column.text(i)))].join(","));
    return `${lines.join("\r\n")}\r\n`;
  }

  download() {
    offer(this.csv(), this.nSelected ? "selected.csv" : "shown.csv");
  }

  setLasso(on) {
    this.lassoing = on;
    this.lassoButton.setAttribute("aria-pressed", String(on));
    this.stage.area.classList.toggle("gx-lassoing", on);
  }

  // ------------------------------------------------ one picture

  nearOf(i) {
    if (!this.near || i < 0) return [];
    return [...this.near.rows.subarray(i * this.near.k, (i + 1) * this.near.k)].filter((row) => row >= 0);
  }

  say(i) {
    const score = this.columns.get("score");
    const radius = i >= 0 && score?.kind === "number" && !Number.isNaN(score.plot[i]) ? `, ${tr("score {value}", { value: brief(score.plot[i]) })}` : "";
    this.tip.textContent = i < 0 ? "" : `${this.nameOf(i)}${radius}${this.isOdd(i) ? `, ${tr("odd")}` : ""}${this.unread[i] ? `, ${tr("could not be read")}` : ""}`;
  }

  open(i) {
    this.current = i;
    this.showCard();
    this.sayColours();
    this.stage.drawMarks();
    this.drawMini();
    if (i >= 0) this.say(i);
  }

  picture(i, width) {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const canvas = element("canvas", { class: "gx-picture", role: "img", "aria-label": this.unread[i] ? tr("no picture of {name}", { name: this.nameOf(i) }) : tr("picture of {name}", { name: this.nameOf(i) }) });
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(width * ratio * this.sheets.aspect)];
    canvas.style.width = `${width}px`;
    const context = canvas.getContext("2d", IN_MEMORY);
    context.imageSmoothingQuality = "high";
    if (this.unread[i]) this.stage.drawUnread(context, i, 0, 0, canvas.width, canvas.height);
    else this.sheets.draw(context, i, 0, 0, canvas.width, canvas.height, canvas.width);
    return canvas;
  }

  showCard() {
    const i = this.current;
    if (i < 0) {
      this.card.replaceChildren(element("h2", { text: tr("One picture") }), element("p", { class: "ox-sub", text: tr("Click a picture: how far it is from the others, why, what is nearest, and its group in every version.") }));
      return;
    }
    const parts = [element("h2", { text: this.nameOf(i) }), this.picture(i, Math.min(308, Math.max(160, this.card.clientWidth - 26)))];
    if (this.unread[i]) parts.push(element("p", { class: "ox-verdict", text: tr("Could not be read: {why}", { why: this.columns.get("not_read").shown(i) }) }));
    parts.push(...this.verdict(i), ...this.groups(i), ...this.neighbours(i), element("h3", { text: tr("Values") }), this.values(i));
    this.card.replaceChildren(...parts);
  }

  verdict(i) {
    const told = (name) => (this.columns.get(name)?.text(i) ? this.columns.get(name) : null);
    const number = (name) => told(name) && brief(told(name).plot[i]);
    const parts = [];
    if (told("score")) {
      const radius = tr("radius {value}", { value: number("score") }) + (told("ratio") ? tr(", {ratio} x the limit", { ratio: number("ratio") }) : "");
      const text = !this.flag ? radius : this.isOdd(i) ? tr("odd: {radius}", { radius }) : tr("not odd: {radius}", { radius });
      parts.push(element("p", { class: this.isOdd(i) ? "ox-verdict ox-is" : "ox-verdict", text }));
    }
    if (told("reason")) parts.push(element("p", { text: told("reason").shown(i) }));
    if (told("copies")) parts.push(element("p", { text: told("copies").plot[i] ? plural(told("copies").plot[i], "near copy") : tr("no near copies") }));
    return parts;
  }

  // The group of a picture in every version, side by side.
  groups(i) {
    const labels = [...this.columns.values()].filter((column) => /(^|_)label$/.test(column.name));
    if (!labels.length) return [];
    const told = (column) => (column.text(i) === "-1" ? tr("in no group") : column.text(i) ? tr("group {name}", { name: column.text(i) }) : tr("not known to this version"));
    return [element("h3", { text: tr("Groups") }), element("dl", {}, ...labels.map((column) => element("div", {}, element("dt", { text: column.name }), element("dd", { text: told(column) }))))];
  }

  neighbours(i) {
    const rows = this.nearOf(i);
    if (!rows.length) return [];
    const box = element("div", { class: "gx-near" }, ...rows.map((row) => element("button", { type: "button", class: "gx-tile", title: this.nameOf(row), onclick: () => {
      this.open(row);
      if (this.stage.at[row] >= 0) this.stage.bring(this.stage.at[row]);
    } }, this.picture(row, 84), element("span", { text: this.nameOf(row) }))));
    return [element("h3", { text: tr("Nearest") }), box];
  }

  values(i) {
    const list = element("dl");
    for (const column of this.columns.values()) {
      if (["reason", "not_read"].includes(column.name) || /(^|_)label$/.test(column.name)) continue;
      list.append(element("div", {}, element("dt", { text: column.label }), element("dd", { text: column.shown(i) || tr("missing") })));
    }
    return list;
  }

  // ------------------------------------------------ the small map

  miniPlaces() {
    const map = this.meta.maps.find((each) => each.name === this.miniName);
    const [x, y] = [this.columns.get(map.x).plot, this.columns.get(map.y).plot];
    const ends = (values) => values.reduce(([a, b], value) => (Number.isFinite(value) ? [Math.min(a, value), Math.max(b, value)] : [a, b]), [Infinity, -Infinity]);
    const [[x0, x1], [y0, y1]] = [ends(x), ends(y)];
    const [w, h] = [this.mini.clientWidth - 12, this.mini.clientHeight - 12];
    return { x: (i) => 6 + ((x[i] - x0) / (x1 - x0 || 1)) * w, y: (i) => 6 + ((y1 - y[i]) / (y1 - y0 || 1)) * h };
  }

  drawMini() {
    if (!this.mini || !this.mini.clientWidth || this.miniWaiting) return;
    this.miniWaiting = true;
    requestAnimationFrame(() => {
      this.miniWaiting = false;
      this.paintMini();
    });
  }

  paintMini() {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const [w, h] = [this.mini.clientWidth, this.mini.clientHeight].map((side) => Math.round(side * ratio));
    [this.mini.width, this.mini.height] = [w, h];
    const context = this.mini.getContext("2d", IN_MEMORY);
    const image = context.createImageData(w, h);
    this.putDots(new Uint32Array(image.data.buffer), w, h, ratio);
    context.putImageData(image, 0, 0);
    context.scale(ratio, ratio);
    const at = this.miniPlaces();
    const ring = (i, colour, radius) => {
      context.strokeStyle = colour;
      context.lineWidth = 2;
      context.beginPath();
      context.arc(at.x(i), at.y(i), radius, 0, 7);
      context.stroke();
    };
    for (const row of this.nearOf(this.current)) ring(row, this.colours["--near"], 4);
    if (this.current >= 0) ring(this.current, this.colours["--ink"], 6);
  }

  // A dot for each picture: hidden ones first, then those without a colour of their own, then the others.
  putDots(out, w, h, ratio) {
    const at = this.miniPlaces();
    const dot = Math.round((this.n > 5000 ? 1.5 : this.n > 800 ? 2.5 : 4) * ratio);
    const [hidden, plain, pick] = ["--grid", "--rest", "--pick"].map((name) => packed(rgba(this.colours[name])));
    const { tint } = this;
    const frames = tint ? tint.colours.map((colour) => packed(colour)) : [];
    const isPlain = (i) => !tint || tint.of[i] === tint.plain;
    const passes = [[(i) => !this.shown[i], () => hidden], [(i) => this.shown[i] && isPlain(i), () => plain],
      [(i) => this.shown[i] && !isPlain(i), (i) => frames[tint.of[i]]], [(i) => this.selected[i], () => pick]];
    for (const [test, colour] of passes)
      for (let i = 0; i < this.n; i++) {
        if (!test(i)) continue;
        const [x, y] = [Math.round(at.x(i) * ratio - dot / 2), Math.round(at.y(i) * ratio - dot / 2)];
        if (x === x && y === y) fillPixels(out, w, h, x, y, x + dot, y + dot, colour(i)); // not NaN: it has a place
      }
  }

  openNearest(event) {
    const box = this.mini.getBoundingClientRect();
    const at = this.miniPlaces();
    let [best, least] = [-1, 400];
    for (let i = 0; i < this.n; i++) {
      if (!this.shown[i]) continue;
      const far = (at.x(i) - event.clientX + box.left) ** 2 + (at.y(i) - event.clientY + box.top) ** 2;
      if (far < least) [best, least] = [i, far];
    }
    this.open(best);
    if (best >= 0 && this.stage.at[best] >= 0) this.stage.bring(this.stage.at[best]);
  }

  // ------------------------------------------------ looks

  recolour() {
    this.readColours();
    this.setColour(this.tint?.column?.name ?? "");
    this.showCard();
    this.stage.paint();
  }

  readColours() {
    const computed = getComputedStyle(this.root);
    const names = ["--ink", "--ink2", "--paper", "--grid", "--rest", "--odd", "--pick", "--near", "--sea", "--none"];
    this.colours = Object.fromEntries(names.map((name) => [name, computed.getPropertyValue(name).trim()]));
  }

  watch() {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
    new ResizeObserver(() => {
      if (this.stage.resize() && this.stage.layout) this.arrange();
    }).observe(this.stage.area);
  }
}

// ---------------------------------------------------------------- the page that `gallery` writes

async function startGallery() {
  const place = document.getElementById("gallery");
  try {
    const meta = JSON.parse(document.getElementById("gallery-meta").textContent);
    speak(meta.language);
    const sheets = new Sheets(meta.sheets, meta.n);
    const [bytes] = await Promise.all([decode(document.getElementById("gallery-data").textContent), sheets.load()]);
    document.getElementById("gallery-data").remove();
    place.replaceChildren();
    window.gallery = new Gallery(place, meta, bytes, sheets);
    noteFirstPicture();
  } catch (error) {
    place.textContent = tr("The gallery could not start: {why}", { why: error.message });
    throw error;
  }
}

if (typeof document !== "undefined" && document.getElementById("gallery-data")) startGallery();
