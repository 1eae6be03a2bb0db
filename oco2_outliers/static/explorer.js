// The explorer: linked views of one result table. It stands below uPlot (axes), filter.js and columns.js in one module, in the
// page that `explore` writes and in the widget alike. Text reaches the document through textContent only.

const TOP_ROWS = 1000;
const PAGE = 20;
const TILES = 60;
const MOST_OUTLINES = 8000;
const MANY = 20000; // rows drawn as discs; more become plain squares
const MARGIN = 24; // pixels to the right and below, so that no point need be clipped
const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
let serial = 0;

// ---------------------------------------------------------------- data

// A positive number between both, in three digits where one of three lies there: rounded away from 0, never towards it.
function outward(least, most) {
  const [mantissa, power] = least.toExponential().split("e");
  const all = mantissa.replace(".", "");
  for (let digits = 3; digits < 18; digits++) {
    let kept = BigInt(all.slice(0, digits).padEnd(digits, "0"));
    if (all.length > digits) kept += 1n;  // the shortest digits of a number do not end in 0
    const rounded = Number(`${kept}e${Number(power) - digits + 1}`);
    if (rounded <= most || digits === 17) {
      const told = rounded <= most ? rounded : least;
      return least >= 1e-5 && least < 1e15 ? plainNumber(told) : told.toExponential();
    }
  }
  return String(least);
}

// Without an exponent, which JavaScript writes below 1e-6.
function plainNumber(value) {
  const text = String(value);
  if (!text.includes("e")) return text;
  const [mantissa, power] = text.split("e");
  return `0.${"0".repeat(-Number(power) - 1)}${mantissa.replace(".", "")}`;
}

// The change as it is printed. It is added to a value of the table, rounded, minus the mean, over the scale: where the
// mean is large beside the scale that costs some digits, and so much is left free on both sides.
function toldChange(least, most, size) {
  const lost = 8 * Number.EPSILON * size;
  return 2 * lost < most - least ? outward(least + lost, most - lost) : outward(least, most);
}

const bitsOf = { number: new Float64Array(1), bits: null };
bitsOf.bits = new BigInt64Array(bitsOf.number.buffer);

// The next number above or below.
function nextNumber(value, up) {
  if (!Number.isFinite(value)) return value;
  if (value === 0) return up ? Number.MIN_VALUE : -Number.MIN_VALUE;
  bitsOf.number[0] = value;
  bitsOf.bits[0] += value > 0 === up ? 1n : -1n;
  return bitsOf.number[0];
}

// Sum of squared differences, added in the order of the features as Python adds it.
function squareBetween(a, b) {
  let square = 0;
  for (let j = 0; j < a.length; j++) square += (a[j] - b[j]) * (a[j] - b[j]);
  return square;
}

// What the formula promises for a core row and each feature, a hair too small; Infinity where nothing. The largest
// square is left out before the others are added: subtracted from the sum it would take the digits of the others along.
function promisedMoves(own, core, eps2, found) {
  const room = eps2 * (1 + 1e-9);
  let widest = 0;
  const gap2 = own.map((value, j) => (core[j] - value) ** 2);
  for (let j = 1; j < gap2.length; j++) if (gap2[j] > gap2[widest]) widest = j;
  let others = 0;
  for (let j = 0; j < gap2.length; j++) if (j !== widest) others += gap2[j];
  for (let j = 0; j < gap2.length; j++) {
    const rest = j === widest ? others : others + gap2[widest] - gap2[j];
    found[j] = rest <= room ? Math.max(Math.sqrt(gap2[j]) - Math.sqrt(Math.max(room - rest, 0)), 0) : Infinity;
  }
}

// The first change that ends the isolation, tried out, from `start` to the middle; NaN where none does.
function firstThatHolds(own, core, j, unit, eps2, start, first) {
  const moved = own.slice();
  const holds = (change) => {
    moved[j] = own[j] + change / unit;
    return squareBetween(moved, core) <= eps2;
  };
  const middle = Math.abs(core[j] - own[j]);
  const sign = core[j] >= own[j] ? unit : -unit;
  let [step, amount] = [first, start + first];
  while (first > 0 ? amount < middle : amount > middle) {
    if (holds(sign * amount)) return sign * amount;
    step *= 4;
    amount = start + step;
  }
  let [below, above] = [sign * middle, sign * middle];
  for (let k = 0; k < 4; k++) {
    if (holds(below)) return below;
    if (holds(above)) return above;
    [below, above] = [nextNumber(below, false), nextNumber(above, true)];
  }
  return NaN;
}

// The least and the largest change of a feature that end the isolation; NaN where none does, 0 where none is needed.
function changesOf(own, core, j, unit, eps2) {
  if (squareBetween(own, core) <= eps2) return [0, 0];
  const there = own.slice();
  there[j] = core[j];
  const rest = squareBetween(there, core);
  if (rest > eps2) return [NaN, NaN];
  const [gap, half] = [Math.abs(core[j] - own[j]), Math.sqrt(eps2 - rest)];
  const hair = 1e-9 * half + 1e-15 * Math.max(Math.abs(own[j]), Math.abs(core[j]));
  return [firstThatHolds(own, core, j, unit, eps2, Math.max(gap - half, 0), hair),
    firstThatHolds(own, core, j, unit, eps2, gap + half, -hair)];
}

// The smallest change of one feature that ends the isolation, in its unit, and the largest one that will do as well.
function smallestMove(own, cores, row, units, eps2) {
  const k = own.length;
  const [promised, scratch] = [new Float64Array(k), new Float64Array(k)];
  const tried = (place) => {
    const [least, most] = changesOf(own, row(cores[Math.floor(place / k)]), place % k, units[place % k], eps2);
    return Number.isNaN(least) ? null : { j: place % k, least, most };
  };
  let [first, best] = [-1, Infinity];
  cores.forEach((q, at) => {
    promisedMoves(own, row(q, scratch), eps2, promised);
    for (let j = 0; j < k; j++) if (promised[j] < best) [best, first] = [promised[j], at * k + j];
  });
  if (first < 0) return null;
  const found = tried(first);
  if (found) return found;
  const others = [];  // most often the first one holds, and nothing needs sorting
  cores.forEach((q, at) => {
    promisedMoves(own, row(q, scratch), eps2, promised);
    for (let j = 0; j < k; j++) if (promised[j] < Infinity && at * k + j !== first) others.push([promised[j], at * k + j]);
  });
  others.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  for (const [, place] of others) {
    const later = tried(place);
    if (later) return later;
  }
  return null;
}

// Three digits, and as many more as it takes to stand on the right side of a threshold.
export function threeDigits(value, threshold) {
  if (!Number.isFinite(value)) return brief(value);
  for (let digits = 3; digits < 17; digits++) {
    const told = Number(value.toPrecision(digits));
    if (!Number.isFinite(threshold) || threshold < told === threshold < value)
      return told !== 0 && (Math.abs(told) < 1e-3 || Math.abs(told) >= 1e7) ? told.toExponential() : String(told);
  }
  return String(value);
}

class Setting {
  constructor(info, bytes) {
    [this.min_samples, this.info, this.bytes] = [info.min_samples, info, bytes];
  }

  get radius() {
    this._radius ??= unpack(this.bytes, this.info);
    return this._radius;
  }

  // Core distances: a row is core at eps when not eps < core.
  get core() {
    if (!this.info.core) return null;
    this._core ??= unpack(this.bytes, this.info.core);
    return this._core;
  }
}

// The rings of areas, as differences to the place of their row; `first` is the first ring of each row.
class Outlines {
  constructor(info, bytes, n) {
    const [rows, counts] = [unpack(bytes, info.rows), unpack(bytes, info.counts)];
    [this.dx, this.dy] = [unpack(bytes, info.dx), unpack(bytes, info.dy)];
    this.first = new Uint32Array(n + 1);
    for (const row of rows) this.first[row + 1] += 1;
    for (let i = 0; i < n; i++) this.first[i + 1] += this.first[i];
    this.begin = new Uint32Array(counts.length + 1);
    counts.forEach((count, k) => { this.begin[k + 1] = this.begin[k] + count; });
    const widths = [];
    for (let k = 0; k < counts.length; k += Math.ceil(counts.length / 1000)) {
      const side = this.dx.subarray(this.begin[k], this.begin[k + 1]);
      widths.push(Math.max(...side) - Math.min(...side));
    }
    this.width = widths.sort((a, b) => a - b)[widths.length >> 1] ?? 0; // degrees, of an area of the usual size
  }

  // Calls `act` with the corners of each ring of a row, as degrees from its place.
  rings(i, act) {
    for (let k = this.first[i]; k < this.first[i + 1]; k++)
      act(this.dx.subarray(this.begin[k], this.begin[k + 1]), this.dy.subarray(this.begin[k], this.begin[k + 1]));
  }
}

export class Table {
  constructor(meta, bytes) {
    this.meta = meta;
    this.n = meta.n;
    this.columns = new Map(meta.columns.map((info) => [info.name, new Column(info, bytes)]));
    this.settings = meta.settings.map((each) => new Setting(each, bytes));
    this.fixed = meta.fixed ? unpack(bytes, meta.fixed) : null;
    this.coast = meta.coast ? unpack(bytes, meta.coast) : null;
    this.sheets = (meta.pictures?.sheets ?? []).map(({ offset, n }) => bytes.subarray(offset, offset + n));
    this.tile = meta.pictures ? unpack(bytes, meta.pictures.of) : null;
    this.near = meta.neighbours?.rows
      ? { rows: unpack(bytes, meta.neighbours.rows), of: meta.neighbours.of ? unpack(bytes, meta.neighbours.of) : null } : null;
    this.outlines = meta.outlines ? new Outlines(meta.outlines, bytes, this.n)
      : meta.footprints ? new Footprints(meta.footprints, bytes) : null;
    this.row = { name: "row", label: tr("row number"), kind: "number", numeric: true, type: "f8",
      plot: Float64Array.from({ length: this.n }, (_, i) => i) };
  }

  axes() {
    return [...[...this.columns.values()].filter((column) => column.numeric && !column.id), this.row];
  }
}

// ---------------------------------------------------------------- one view: axes by uPlot, points by hand

// uPlot strokes a path per point, and libraries on WebGL take seconds per frame where there is no graphics card; putting
// 500,000 points into an image takes milliseconds anywhere. What else a chart needs, uPlot does.
class View {
  constructor(app, name, title) {
    this.app = app;
    this.name = name;
    this.title = title;
    this.range = null;
    this.home = null;
    this.plotArea = element("div", { class: "ox-plot", tabindex: "0", role: "group",
      "aria-label": tr("{title}. Arrow keys move, plus and minus zoom, 0 shows all, Escape clears the selection.", { title }) });
    this.head = element("div", { class: "ox-head" }, element("h2", { text: title }));
    const tool = (text, label, act) => element("button", { type: "button", class: "ox-tool", "aria-label": tr("{what}: {title}", { what: label, title }),
      title: label, text, onclick: act });
    this.tools = element("div", { class: "ox-tools" }, tool("−", tr("Zoom out"), () => this.zoom(1.5)),
      tool("+", tr("Zoom in"), () => this.zoom(1 / 1.5)), tool("⤢", tr("Show all"), () => this.reset()));
    this.panel = element("section", { class: `ox-panel ox-${name}`, "aria-label": title }, this.head, this.plotArea);
    this.shadeNote = app.shading ? element("p", { class: "ox-sub" }) : null;
    if (this.shadeNote) this.panel.append(this.shadeNote);
    this.points = element("canvas", { class: "ox-layer" });
    this.marks = element("canvas", { class: "ox-layer" });
  }

  controls(...children) {
    this.head.append(element("div", { class: "ox-choices" }, ...children), this.tools);
  }

  axes(x, y) {
    this.x = x;
    this.y = y;
    this.xs = x.plot;
    this.ys = y.plot;
    this.home = [...extent(this.xs), ...extent(this.ys)];
    const found = this.app.shading ? this.cells() : null;
    if (found) { // all that is shaded is in sight, too
      const [across, up] = found.swap ? [found.cells.y, found.cells.x] : [found.cells.x, found.cells.y];
      this.home = [Math.min(this.home[0], across.low), Math.max(this.home[1], across.high), Math.min(this.home[2], up.low), Math.max(this.home[3], up.high)];
    }
    this.range = [...this.home];
    this.rebuild();
  }

  rebuild() {
    this.uplot?.destroy();
    const time = (column) => column.kind === "time";
    const axis = (column, side) => (column.bare ? { side, show: false } : {
      side, stroke: () => this.app.colour("--ink2"), font: FONT, labelFont: FONT, label: this.axisLabel(column, side),
      labelSize: 18, labelGap: 2, size: side === 3 ? (column.ticks ? 64 : 54) : 30, gap: 4, space: side === 3 ? 34 : time(column) ? 80 : 60,
      grid: { stroke: () => this.app.colour("--grid"), width: 1 }, ticks: { stroke: () => this.app.colour("--grid"), width: 1, size: 4 },
      values: column.ticks ?? (time(column) ? (...told) => timeTicks(this.oneDay, ...told) : (_, values) => values.map(tick)),
    });
    const { width, height } = this.size();
    this.uplot = new uPlot({
      width, height, ms: 1, padding: [8, time(this.x) ? 38 : 18, 2, 0], legend: { show: false }, cursor: { show: false }, select: { show: false },
      tzDate: (ms) => uPlot.tzDate(new Date(ms), "Etc/UTC"),
      scales: { x: { time: time(this.x), auto: false, range: () => this.fitted().slice(0, 2) },
        y: { time: false, auto: false, range: () => this.fitted().slice(2) } },
      series: [{}, { paths: () => null, points: { show: false } }],
      axes: [axis(this.x, 2), axis(this.y, 3)],
      hooks: { drawClear: [(plot) => this.under(plot)], draw: [() => this.placed()] },
    }, [this.range.slice(0, 2), this.range.slice(2)], this.plotArea);
    this.uplot.over.append(this.points, this.marks);
    this.listen(this.uplot.over);
    this.show();
  }

  // Within one day the day stands beside the name, not below every tick.
  axisLabel(column, side) {
    if (column.kind !== "time") return column.label;
    const [first, last] = side === 3 ? this.home.slice(2) : this.home;
    const days = [first, last].map((ms) => new Date(ms).toISOString().slice(0, 10));
    this.oneDay = days[0] === days[1];
    return this.oneDay ? `${column.label}, ${days[0]}` : column.label;
  }

  size() {
    return { width: Math.max(200, this.plotArea.clientWidth), height: Math.max(150, this.plotArea.clientHeight) };
  }

  resize() {
    const { width, height } = this.size();
    if (this.uplot && (width !== this.uplot.width || height !== this.uplot.height)) {
      this.uplot.setSize({ width, height });
      this.show();
    }
  }

  fitted() {
    return this.range;
  }

  show() {
    const [x0, x1, y0, y1] = this.fitted();
    this.uplot.batch(() => {
      this.uplot.setScale("x", { min: x0, max: x1 });
      this.uplot.setScale("y", { min: y0, max: y1 });
    });
    this.uplot.redraw(false, true);
  }

  under(plot) {
    this.shade(plot);
  }

  // The cells of the two columns that are shown, where most rows are shading.
  cells() {
    return this.app.shading?.of(this.x.name, this.y.name) ?? null;
  }

  shade({ ctx, bbox, scales }) {
    const { shading } = this.app;
    const found = shading ? this.cells() : null;
    if (!found) {
      if (this.shadeNote) this.shadeNote.textContent = tr("No shading is in the page for these two columns: only points are shown.");
      return;
    }
    const [w, h] = [Math.max(1, Math.round(bbox.width)), Math.max(1, Math.round(bbox.height))];
    const { x, y } = scales;
    const colour = this.app.colour("--shade");
    const passing = [this.x.name, this.y.name, this.app.sieved].join();
    if (passing !== this.passing) {
      this.passing = passing;
      this.cellsSeen = shading.seen(found, this.xs, this.ys, this.unroll);
      this.shadeNote.textContent = shading.told(this.cellsSeen);
    }
    const key = [w, h, x.min, x.max, y.min, y.max, passing, colour].join();
    if (key !== this.shadeKey) {
      this.shadeKey = key;
      this.shadow ??= document.createElement("canvas");
      [this.shadow.width, this.shadow.height] = [w, h];
      const place = { x0: x.min, kx: w / (x.max - x.min), y1: y.max, ky: h / (y.max - y.min) };
      this.shadow.getContext("2d", IN_MEMORY).putImageData(found.cells.picture(w, h, place, rgba(colour), found.swap, this.cellsSeen), 0, 0);
    }
    const { passing: n, unclear, points } = this.cellsSeen;
    ctx.globalAlpha = unclear && n === points ? 0.4 : 1; // rows of which nothing is known but that they may pass
    ctx.drawImage(this.shadow, bbox.left, bbox.top);
    ctx.globalAlpha = 1;
  }

  // uPlot has drawn its axes: the plotting area and the scales are known.
  placed() {
    const { clientWidth, clientHeight } = this.uplot.over;
    if (clientWidth !== this.drawnWidth || clientHeight !== this.drawnHeight) {
      [this.drawnWidth, this.drawnHeight] = [clientWidth, clientHeight];
      this.show(); // what is in sight may hang on the size, which is known only now
    }
    const { width, height } = this.uplot.bbox;
    const ratio = uPlot.pxRatio;
    const [w, h] = [Math.max(1, Math.round(width)), Math.max(1, Math.round(height))];
    for (const canvas of [this.points, this.marks]) {
      if (canvas.width !== w || canvas.height !== h) {
        canvas.width = w;
        canvas.height = h;
      }
    }
    const x = this.uplot.scales.x;
    const y = this.uplot.scales.y;
    const key = [w, h, x.min, x.max, y.min, y.max, this.x.name, this.y.name].join();
    this.scale = { w, h, ratio, wide: w + MARGIN, x0: x.min, kx: w / (x.max - x.min), y1: y.max, ky: h / (y.max - y.min) };
    if (key !== this.key) {
      this.key = key;
      this.locate();
    }
    this.paint();
    this.mark();
  }

  // Pixel of each row, or -1: kept, because colours change oftener than places.
  locate() {
    const { w, h, x0, kx, y1, ky, wide } = this.scale;
    const n = this.app.table.n;
    this.at ??= new Int32Array(n);
    this.crowdSize = 0; // all rows have moved
    const [xs, ys, at] = [this.xs, this.ys, this.at];
    for (let i = 0; i < n; i++) {
      const px = (xs[i] - x0) * kx;
      const py = (y1 - ys[i]) * ky;
      at[i] = px >= 0 && px < w && py >= 0 && py < h ? (py | 0) * wide + (px | 0) : -1;
    }
  }

  paint() {
    if (!this.scale) return;
    const { w, h, ratio, wide } = this.scale;
    const { flag, shown, selected, table, nShown } = this.app;
    const context = this.points.getContext("2d", IN_MEMORY);
    if (!this.image || this.image.width !== wide || this.image.height !== h + MARGIN) {
      this.image = context.createImageData(wide, h + MARGIN);
      this.pixels = new Uint32Array(this.image.data.buffer);
      this.crowd = new Uint32Array(this.pixels.length);
      this.counted = new Uint8Array(table.n);
    }
    const { at, pixels, crowd, counted } = this;
    const base = this.near?.() || nShown > 60000 ? 1.5 : nShown > 8000 ? 2 : nShown > 800 ? 3 : 5;
    const size = Math.min(MARGIN, Math.max(1, Math.round(base * ratio)));
    const odd = Math.min(MARGIN, Math.max(size + 1, Math.round((base + 1.5) * ratio)));
    // How many rows of the rest lie on each pixel. A new eps, filter or selection touches only the rows that it changes.
    if (this.crowdSize !== size) {
      this.crowdSize = size;
      crowd.fill(0);
      counted.fill(0);
    }
    const late = [];
    if (this.app.tint) this.tinted(size, late);
    for (let i = 0; i < table.n && !this.app.tint; i++) {
      const place = at[i];
      const special = flag[i] | selected[i];
      const seen = place < 0 ? 0 : shown[i];
      const counts = special ? 0 : seen;
      if (counts !== counted[i]) {
        counted[i] = counts;
        const change = counts ? 1 : -1;
        for (let p = place, last = place + size * wide; p < last; p += wide)
          for (let q = p; q < p + size; q++) crowd[q] += change;
      }
      if (seen && special) late.push(i);
    }
    const shades = nShown > 2000 ? this.app.shades : this.app.fewShades;
    for (let p = 0; p < pixels.length && !this.app.tint; p++) pixels[p] = shades[crowd[p] < 255 ? crowd[p] : 255];
    if (late.length <= MANY) this.discs(late, odd / 2);
    else this.stamp(late, odd);
    context.putImageData(this.image, 0, 0);
    if (this.y.score || this.x.score) this.threshold(context);
  }

  // Rows in the colours of a column, those without a value first, so that they cover nothing; flagged ones come later.
  tinted(size, late) {
    const { wide } = this.scale;
    const { at, pixels, app } = this;
    const { of, colours } = app.tint;
    const inks = colours.map((colour) => packed(colour));
    pixels.fill(0);
    for (const valued of [false, true]) {
      for (let i = 0; i < at.length; i++) {
        if (at[i] < 0 || !app.shown[i] || of[i] > 0 !== valued) continue;
        if (app.flag[i] | app.selected[i]) late.push(i);
        else for (let p = at[i], last = at[i] + size * wide; p < last; p += wide) pixels.fill(inks[of[i]], p, p + size);
      }
    }
    this.crowdSize = 0; // nobody counted
  }

  // So many flagged rows would hide each other: where several lie on a pixel its colour is fuller.
  stamp(rows, size) {
    const { wide } = this.scale;
    const { at, pixels, app } = this;
    for (const [chosen, colour] of [[0, rgba(app.colour("--odd"))], [1, rgba(app.colour("--pick"))]]) {
      const seen = new Uint16Array(pixels.length);
      const side = rows.length > 3 * MANY ? Math.max(1, size - 1) : size;
      for (const i of rows) {
        if (app.selected[i] !== chosen) continue;
        for (let p = at[i], last = at[i] + side * wide; p < last; p += wide) for (let q = p; q < p + side; q++) seen[q] += 1;
      }
      for (let p = 0; p < pixels.length; p++) if (seen[p]) pixels[p] = packed(colour, Math.round(255 - 175 * 0.72 ** (seen[p] - 1)));
    }
  }

  // Discs with a rim, written as pixels: thousands of arcs would keep a browser without a graphics card busy for a second.
  discs(rows, radius) {
    const { wide, ratio } = this.scale;
    const { at, pixels, app } = this;
    const [paper, pick, odd, rest] = ["--paper", "--pick", "--odd", "--rest"].map((name) => rgba(app.colour(name)));
    const { tint } = app;
    const made = new Map();
    const discOf = (flag, chosen, colour) => {
      const key = (colour << 2) | (chosen << 1) | flag;
      if (!made.has(key)) {
        const inner = tint ? tint.colours[colour] : flag ? odd : rest;
        made.set(key, disc(radius, (chosen || tint ? 2 : 1) * ratio, inner, chosen ? pick : tint && flag ? odd : paper));
      }
      return made.get(key);
    };
    for (const chosen of [0, 1]) {
      for (const i of rows) {
        if (app.selected[i] !== chosen) continue;
        const { reach, colours } = discOf(app.flag[i], chosen, tint ? tint.of[i] : 0);
        const [x, y] = [at[i] % wide, (at[i] / wide) | 0];
        for (let dy = -reach, k = 0; dy <= reach; dy++) {
          for (let dx = -reach; dx <= reach; dx++, k++)
            if (colours[k] !== 0 && x + dx >= 0 && y + dy >= 0) pixels[at[i] + dy * wide + dx] = colours[k];
        }
      }
    }
  }

  threshold(context) {
    const { w, h, x0, kx, y1, ky, ratio } = this.scale;
    const eps = this.app.eps;
    if (this.app.fixed || !Number.isFinite(eps)) return;
    context.save();
    context.setLineDash([6 * ratio, 4 * ratio]);
    context.strokeStyle = this.app.colour("--ink2");
    context.lineWidth = ratio;
    context.beginPath();
    if (this.y.score) {
      context.moveTo(0, (y1 - eps) * ky);
      context.lineTo(w, (y1 - eps) * ky);
    } else {
      context.moveTo((eps - x0) * kx, 0);
      context.lineTo((eps - x0) * kx, h);
    }
    context.stroke();
    context.restore();
  }

  // The current row, the row under the pointer and the lasso, on a layer of their own.
  mark() {
    if (!this.scale) return;
    const { w, h, ratio, wide } = this.scale;
    const context = this.marks.getContext("2d", IN_MEMORY);
    context.clearRect(0, 0, w, h);
    const ring = (i, colour, radius, width) => {
      const place = i >= 0 ? this.at[i] : -1;
      if (place < 0) return;
      context.beginPath();
      context.arc((place % wide) + 0.5, ((place / wide) | 0) + 0.5, radius * ratio, 0, 2 * Math.PI);
      context.lineWidth = (width + 2) * ratio;
      context.strokeStyle = this.app.colour("--paper");
      context.stroke();
      context.lineWidth = width * ratio;
      context.strokeStyle = colour;
      context.stroke();
    };
    for (const i of this.app.neighbourRows) ring(i, this.app.colour("--near"), 5, 2);
    ring(this.app.hover, this.app.colour("--ink2"), 7, 1.5);
    ring(this.app.current, this.app.colour("--ink"), 9, 2.5);
    if (this.lasso?.length > 1) {
      context.beginPath();
      this.lasso.forEach(([x, y], k) => (k ? context.lineTo(x * ratio, y * ratio) : context.moveTo(x * ratio, y * ratio)));
      context.closePath();
      context.globalAlpha = 0.15;
      context.fillStyle = this.app.colour("--pick");
      context.fill();
      context.globalAlpha = 1;
      context.lineWidth = 1.5 * ratio;
      context.strokeStyle = this.app.colour("--pick");
      context.stroke();
    }
  }

  // The nearest row in sight within 10 pixels.
  nearest(x, y) {
    const { wide, ratio } = this.scale;
    const [px, py] = [x * ratio, y * ratio];
    const { at, app } = this;
    let best = -1;
    let least = (10 * ratio) ** 2;
    const [low, high] = [Math.max(0, Math.floor(py - 10 * ratio)) * wide, Math.ceil(py + 11 * ratio) * wide];
    for (let i = 0; i < at.length; i++) {
      const place = at[i];
      if (place < low || place > high || place < 0 || app.shown[i] === 0) continue;
      const dx = (place % wide) - px;
      const dy = ((place / wide) | 0) - py;
      // An odd row is easier to hit than the crowd it stands in.
      const distance = (dx * dx + dy * dy) * (app.flag[i] ? 0.3 : 1);
      if (distance < least) [least, best] = [distance, i];
    }
    return best;
  }

  listen(area) {
    let start = null;
    pinchable(area, (factor, middle, shift) => this.pinch(area, factor, middle, shift), () => {
      start = null;
      this.lasso = null;
      this.mark();
    });
    const place = (event) => {
      const box = area.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    area.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      const [x, y] = place(event);
      start = { x, y, range: [...this.fitted()], moved: false, mode: event };
      if (this.app.lassoing) this.lasso = [[x, y]];
      area.setPointerCapture(event.pointerId);
      this.plotArea.focus({ preventScroll: true });
    });
    area.addEventListener("pointermove", (event) => {
      const [x, y] = place(event);
      if (!start) return this.app.pointAt(this.nearest(x, y));
      if (Math.hypot(x - start.x, y - start.y) > 3) start.moved = true;
      if (!start.moved) return;
      if (this.lasso) {
        this.lasso.push([x, y]);
        return this.mark();
      }
      const [x0, x1, y0, y1] = start.range;
      const dx = ((x - start.x) / area.clientWidth) * (x1 - x0);
      const dy = ((y - start.y) / area.clientHeight) * (y1 - y0);
      this.range = [x0 - dx, x1 - dx, y0 + dy, y1 + dy];
      this.show();
    });
    const end = (event) => {
      if (!start) return;
      const [x, y] = place(event);
      if (this.lasso && start.moved) this.app.selectWhere(this.inside(this.lasso), event);
      else if (!start.moved && event.type === "pointerup") this.app.open(this.nearest(x, y));
      this.lasso = null;
      start = null;
      this.mark();
    };
    area.addEventListener("pointerup", end);
    area.addEventListener("pointercancel", end);
    area.addEventListener("pointerleave", () => this.app.pointAt(-1));
    area.addEventListener("dblclick", () => this.reset());
    // Only a view that has the focus takes the wheel; else the page could not be scrolled past it.
    area.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && document.activeElement !== this.plotArea) return;
      event.preventDefault();
      const [x, y] = place(event);
      this.zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 400))), x / area.clientWidth, y / area.clientHeight);
    }, { passive: false });
    if (this.heard) return;
    this.heard = true;
    this.plotArea.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] }[event.key];
      if (move) {
        const [x0, x1, y0, y1] = this.fitted();
        const [dx, dy] = [move[0] * (x1 - x0), move[1] * (y1 - y0)];
        this.range = [x0 + dx, x1 + dx, y0 + dy, y1 + dy];
        this.show();
      } else if (event.key === "+" || event.key === "=") this.zoom(1 / 1.5);
      else if (event.key === "-") this.zoom(1.5);
      else if (event.key === "0") this.reset();
      else return;
      event.preventDefault();
    });
  }

  zoom(factor, fx = 0.5, fy = 0.5) {
    const [x0, x1, y0, y1] = this.fitted();
    const [cx, cy] = [x0 + fx * (x1 - x0), y1 - fy * (y1 - y0)];
    const range = [cx + (x0 - cx) * factor, cx + (x1 - cx) * factor, cy + (y0 - cy) * factor, cy + (y1 - cy) * factor];
    const tiny = (a, b) => b - a < 1e-12 * Math.max(1e-300, Math.abs(a), Math.abs(b));
    if (tiny(range[0], range[1]) || tiny(range[2], range[3]) || !range.every(Number.isFinite)) return;
    this.range = range;
    this.show();
  }

  // What lies between two fingers stays between them.
  pinch(area, factor, [x, y], [dx, dy]) {
    this.zoom(1 / factor, x / area.clientWidth, y / area.clientHeight);
    const [x0, x1, y0, y1] = this.fitted();
    const [right, up] = [(dx / area.clientWidth) * (x1 - x0), (dy / area.clientHeight) * (y1 - y0)];
    this.range = [x0 - right, x1 - right, y0 + up, y1 + up];
    this.show();
  }

  reset() {
    this.range = [...this.home];
    this.show();
  }

  // Rows whose pixel lies inside a polygon given in CSS pixels.
  inside(polygon) {
    const { wide, ratio } = this.scale;
    const corners = polygon.map(([x, y]) => [x * ratio, y * ratio]);
    const xs = corners.map(([x]) => x);
    const ys = corners.map(([, y]) => y);
    const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    return (i) => {
      const place = this.at[i];
      if (place < 0) return false;
      const x = (place % wide) + 0.5;
      const y = ((place / wide) | 0) + 0.5;
      if (x < left || x > right || y < top || y > bottom) return false;
      let within = false;
      for (let a = 0, b = corners.length - 1; a < corners.length; b = a++) {
        const [[ax, ay], [bx, by]] = [corners[a], corners[b]];
        if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) within = !within;
      }
      return within;
    };
  }
}

// The pixels of a disc with a rim: 0 where there is nothing; where the disc ends within a pixel, the two colours mixed.
function disc(radius, rim, inner, outer) {
  const reach = Math.min(MARGIN - 1, Math.ceil(radius + rim));
  const colours = new Uint32Array((2 * reach + 1) ** 2);
  for (let dy = -reach, k = 0; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++, k++) {
      const distance = Math.hypot(dx, dy);
      if (distance > radius + rim) continue;
      const share = Math.max(0, Math.min(1, radius + 0.5 - distance));
      colours[k] = packed(inner.map((value, c) => Math.round(share * value + (1 - share) * outer[c])));
    }
  }
  return { reach, colours };
}

const tick = (value) => (value === null ? "" : Math.abs(value) >= 1e6 || (value !== 0 && Math.abs(value) < 1e-4)
  ? value.toExponential(1) : String(Number(value.toPrecision(10))));

// Hours as on a 24-hour clock, UTC; over several days the day stands below the first tick and where it changes.
function timeTicks(oneDay, _, values, axis, space, step) {
  let before = oneDay && values.length ? new Date(values[0]).toISOString().slice(0, 10) : "";
  return values.map((ms) => {
    const text = new Date(ms).toISOString();
    const [day, clock] = [text.slice(0, 10), text.slice(11, step < 1000 ? 23 : step < 60000 ? 19 : 16)];
    if (step >= 86400000) return day;
    const shown = day === before ? clock : `${clock}\n${day}`;
    before = day;
    return shown;
  });
}

// Least and greatest finite value, with a margin; a range is never empty.
function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value < low && value !== -Infinity) low = value;
    if (value > high && value !== Infinity) high = value;
  }
  if (low > high) return [0, 1];
  const margin = high > low ? 0.04 * (high - low) : Math.max(0.5, Math.abs(low) * 1e-3);
  return [low - margin, high + margin];
}

class MapView extends View {
  constructor(app) {
    super(app, "map", tr("Map"));
    const { lat, lon, unroll } = app.table.meta.view;
    this.unroll = unroll;
    const longitude = app.table.columns.get(lon);
    const filled = app.table.meta.footprints && !app.table.meta.view.plane; // by a column, as a mosaic is read
    this.controls(...(filled ? [element("label", {}, element("span", { text: tr("colour") }), app.buildColours())] : []));
    if (filled) this.panel.append(app.legend);
    const east = Float64Array.from(longitude.plot, (value) => (value < unroll ? value + 360 : value));
    const degrees = (values, positive, negative) => values.map((value) => {
      const turned = positive === "E" ? ((((value + 180) % 360) + 360) % 360) - 180 : value;
      const size = Number(Math.abs(turned).toPrecision(8));
      if (positive === "N" && size > 90) return "";
      return `${size}°${size === 0 || size === 180 ? "" : tr(turned > 0 ? positive : negative)}`;
    });
    this.pair = [
      { name: lon, label: tr("longitude"), kind: "number", plot: east, ticks: (_, values) => degrees(values, "E", "W") },
      { name: lat, label: tr("latitude"), kind: "number", plot: app.table.columns.get(lat).plot,
        ticks: (_, values) => degrees(values, "N", "S") },
    ];
  }

  start() {
    this.axes(...this.pair);
  }

  // Areas are drawn where one of the usual size is some pixels wide, and where they are not too many to be told apart.
  locate() {
    super.locate();
    const { outlines, n } = this.app.table;
    this.seen = [];
    if (!outlines || outlines.width * this.scale.kx < 5 * this.scale.ratio) return;
    for (let i = 0; i < n && this.seen.length <= MOST_OUTLINES; i++) if (this.inSight(i)) this.seen.push(i);
    if (this.seen.length > MOST_OUTLINES) this.seen = [];
  }

  near() {
    return this.seen?.length > 0;
  }

  // The rings of a row, added to a path in pixels of the canvas.
  trace(path, i) {
    const { x0, kx, y1, ky } = this.scale;
    const [x, y] = [this.xs[i], this.ys[i]];
    this.app.table.outlines.rings(i, (dx, dy) => {
      for (let k = 0; k < dx.length; k++) path[k ? "lineTo" : "moveTo"]((x + dx[k] - x0) * kx, (y1 - y - dy[k]) * ky);
      path.closePath();
    });
    return path;
  }

  inSight(i) {
    const { w, h, x0, kx, y1, ky } = this.scale;
    const reach = 2 * this.app.table.outlines.width; // an area reaches into the picture before its middle does
    const [px, py] = [(this.xs[i] - x0) * kx, (y1 - this.ys[i]) * ky];
    return px > -reach * kx && px < w + reach * kx && py > -reach * ky && py < h + reach * ky;
  }

  paint() {
    super.paint();
    if (!this.scale) return;
    this.drawn = 0;
    if (!this.near()) return;
    const { app } = this;
    const paths = new Map();
    for (const i of this.seen) {
      if (!app.shown[i]) continue;
      const look = app.selected[i] ? -2 : app.flag[i] ? -1 : 0;
      const key = `${look}|${app.tint ? app.tint.of[i] : ""}`;
      if (!paths.has(key)) paths.set(key, { look, path: new Path2D(), colour: app.tint?.of[i] });
      this.trace(paths.get(key).path, i);
      this.drawn += 1;
    }
    const context = this.points.getContext("2d", IN_MEMORY);
    context.save();
    context.globalCompositeOperation = "destination-over"; // points stay above, and what is drawn first above the rest
    for (const { look, path, colour } of [...paths.values()].sort((a, b) => a.look - b.look)) {
      const own = look === -2 ? app.colour("--pick") : look === -1 ? app.colour("--odd") : app.colour("--rest");
      const fill = app.tint ? `rgb(${app.tint.colours[colour].join()})` : own;
      context.strokeStyle = look || !app.tint ? own : fill;
      context.lineWidth = (look ? 2 : 1) * this.scale.ratio;
      context.globalAlpha = look ? 1 : 0.7;
      context.stroke(path);
      context.fillStyle = fill;
      context.globalAlpha = app.tint ? 0.85 : look ? 0.35 : 0.18;
      context.fill(path);
    }
    context.restore();
  }

  mark() {
    super.mark();
    if (!this.near()) return;
    const context = this.marks.getContext("2d", IN_MEMORY);
    const line = (i, colour, width) => {
      if (i < 0 || !this.inSight(i)) return;
      const path = this.trace(new Path2D(), i);
      for (const [ink, wide] of [["--paper", width + 2], [colour, width]]) {
        context.strokeStyle = this.app.colour(ink);
        context.lineWidth = wide * this.scale.ratio;
        context.stroke(path);
      }
    };
    for (const i of this.app.neighbourRows) line(i, "--near", 2);
    line(this.app.hover, "--ink2", 1.5);
    line(this.app.current, "--ink", 2.5);
  }

  // A row whose point is near, or else the one whose area is hit, a flagged one first.
  nearest(x, y) {
    const found = super.nearest(x, y);
    if (found >= 0 || !this.near()) return found;
    const { ratio } = this.scale;
    const pen = this.marks.getContext("2d", IN_MEMORY);
    let best = -1;
    for (const i of this.seen) {
      if (!this.app.shown[i] || (best >= 0 && !this.app.flag[i])) continue;
      if (pen.isPointInPath(this.trace(new Path2D(), i), x * ratio, y * ratio, "evenodd")) best = i;
      if (best >= 0 && this.app.flag[best]) break;
    }
    return best;
  }

  // One degree of longitude is drawn cos(latitude) as wide as one of latitude.
  fitted() {
    const [x0, x1, y0, y1] = this.range;
    const area = this.uplot ? this.uplot.over : { clientWidth: 400, clientHeight: 300 };
    const [w, h] = [area.clientWidth || 400, area.clientHeight || 300];
    const middle = Math.max(-80, Math.min(80, (y0 + y1) / 2));
    const stretch = Math.cos((middle * Math.PI) / 180);
    const perPixel = Math.max(((x1 - x0) * stretch) / w, (y1 - y0) / h);
    const [cx, cy] = [(x0 + x1) / 2, (y0 + y1) / 2];
    const [dx, dy] = [(perPixel * w) / stretch / 2, (perPixel * h) / 2];
    return [cx - dx, cx + dx, cy - dy, cy + dy];
  }

  cells() {
    const cells = this.app.shading?.map;
    return cells ? { cells, swap: false } : null;
  }

  under(plot) {
    const coast = this.app.table.coast;
    if (!coast) return this.shade(plot);
    const { ctx, bbox } = plot;
    const [{ min: x0, max: x1 }, { min: y0, max: y1 }] = [plot.scales.x, plot.scales.y];
    const [kx, ky] = [bbox.width / (x1 - x0), bbox.height / (y1 - y0)];
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.fillStyle = this.app.colour("--sea");
    ctx.fill();
    this.shade(plot);
    ctx.beginPath();
    for (let turn = Math.floor((x0 + 180) / 360); turn <= Math.floor((x1 + 180) / 360); turn++) {
      let pen = false;
      for (let k = 0; k < coast.length; k += 2) {
        if (Number.isNaN(coast[k])) {
          pen = false;
          continue;
        }
        const x = bbox.left + (coast[k] + 360 * turn - x0) * kx;
        const y = bbox.top + (y1 - coast[k + 1]) * ky;
        if (pen) ctx.lineTo(x, y);
        else ctx.moveTo(x, y);
        pen = true;
      }
    }
    ctx.strokeStyle = this.app.colour("--coast");
    ctx.lineWidth = uPlot.pxRatio;
    ctx.lineJoin = "round";
    ctx.stroke();
    ctx.restore();
  }
}

// Positions on a plane that is none of the Earth: only who is beside whom means something, so there are no numbers.
class PlaneView extends View {
  constructor(app) {
    const { x, y, title } = app.table.meta.view.plane;
    super(app, "plane", title);
    const bare = (name) => ({ name, label: "", kind: "number", bare: true, plot: app.table.columns.get(name).plot });
    this.pair = [bare(x), bare(y)];
    this.controls(element("label", {}, element("span", { text: tr("colour") }), app.buildColours()));
    this.panel.append(app.legend);
  }

  start() {
    this.axes(...this.pair);
  }

  // Both directions on one scale: a distance looks the same whichever way it goes.
  fitted() {
    const [x0, x1, y0, y1] = this.range;
    const area = this.uplot ? this.uplot.over : { clientWidth: 400, clientHeight: 300 };
    const [w, h] = [area.clientWidth || 400, area.clientHeight || 300];
    const perPixel = Math.max((x1 - x0) / w, (y1 - y0) / h);
    const [cx, cy] = [(x0 + x1) / 2, (y0 + y1) / 2];
    return [cx - (perPixel * w) / 2, cx + (perPixel * w) / 2, cy - (perPixel * h) / 2, cy + (perPixel * h) / 2];
  }
}

class PairView extends View {
  constructor(app, name, title, x, y) {
    super(app, name, title);
    const columns = app.axes();
    const byName = new Map(columns.map((column) => [column.name, column]));
    const pick = (axis) => (value) => {
      this.names[axis] = value;
      this.axes(byName.get(this.names.x), byName.get(this.names.y));
    };
    this.names = { x, y };
    this.choiceX = choice(tr("Horizontal axis of {title}", { title }), columns, x, pick("x"));
    this.choiceY = choice(tr("Vertical axis of {title}", { title }), columns, y, pick("y"));
    const labelled = (text, control) => element("label", {}, element("span", { text }), control);
    this.controls(labelled("y", this.choiceY), labelled("x", this.choiceX));
    this.byName = byName;
  }

  start() {
    this.axes(this.byName.get(this.names.x), this.byName.get(this.names.y));
  }
}

// ---------------------------------------------------------------- the whole

export class Explorer extends RowPage {
  constructor(root, meta, bytes, { onchange = () => {}, theme = null } = {}) {
    super();
    this.began = performance.now();
    this.root = root;
    this.onchange = onchange;
    this.table = new Table(meta, bytes);
    this.bytes = bytes;
    this.peaks = meta.peaks ? new PeakPanel(this, bytes) : null;
    this.sieved = 0; // how often what is shown was chosen anew
    this.total = meta.digest?.total ?? meta.n; // rows that the page tells of; n of them are points
    this.floor = meta.digest?.floor ?? -Infinity; // every row with a higher score is a point
    this.fixed = Boolean(this.table.fixed);
    this.word = meta.words.flagged; // the column and the name in filters
    this.say = meta.words.shown; // the same in sentences
    const n = this.table.n;
    this.flag = new Uint8Array(n);
    this.shown = new Uint8Array(n).fill(1);
    this.selected = new Uint8Array(n);
    [this.nShown, this.nSelected, this.hover, this.current, this.page, this.neighbourRows] = [n, 0, -1, -1, 0, []];
    this.lassoing = false;
    this.tint = null;
    this.noun = meta.words.row ?? "row";
    this.filter = null;
    this.eps = this.fixed ? NaN : meta.eps;
    this.setting = this.table.settings.find((each) => each.min_samples === meta.min_samples) ?? this.table.settings[0];
    this.scoreName = meta.words.score_name ?? "score";
    this.score = { name: this.scoreName, label: meta.words.score, kind: "number", numeric: true, type: "f8", score: true };
    this.takeScore();
    root.classList.add("ox");
    if (theme) root.dataset.theme = theme;
    this.build();
    this.readColours();
    this.judge();
    for (const view of this.views) view.start();
    this.sayColours();
    this.refresh();
    this.watch();
  }

  axes() {
    return [...this.table.axes(), this.score];
  }

  // What flagged rows are called, one or several.
  called(n = 2) {
    return agreed(this.say, this.noun, n);
  }

  takeScore() {
    this.scores = this.setting.radius;
    this.score.plot = this.scores;
  }

  // ------------------------------------------------ state

  // Exact: the float64 numbers that Python compares, compared in the same way.
  judge() {
    const { flag, shown, scores, eps } = this;
    let [all, seen] = [0, 0];
    for (let i = 0; i < flag.length; i++) {
      const odd = this.fixed ? this.table.fixed[i] : eps < scores[i] ? 1 : 0;
      flag[i] = odd;
      all += odd;
      seen += odd & shown[i];
    }
    [this.nFlag, this.nFlagShown] = [all, seen];
  }

  setEps(eps, quiet = false) {
    if (this.fixed || !(eps === eps)) return;
    this.eps = Math.max(eps, this.floor);
    this.judge();
    if (this.filter?.uses.has(this.word)) this.sieve();
    this.repaint();
    this.refresh();
    if (!quiet) this.onchange({ eps: this.eps });
  }

  setMinSamples(m, quiet = false) {
    const setting = this.table.settings.find((each) => each.min_samples === m);
    if (!setting || setting === this.setting) return;
    this.setting = setting;
    this.takeScore();
    this.judge();
    if (this.filter && (this.filter.uses.has(this.scoreName) || this.filter.uses.has(this.word))) this.sieve();
    for (const view of this.views) {
      if (view.x.score || view.y.score) view.axes(view.x, view.y);
      else view.paint();
    }
    if (this.tint?.column === this.score) this.setColour(this.scoreName);
    this.drawProfile();
    this.page = 0;
    this.refresh();
    if (!quiet) this.onchange({ min_samples: m });
  }

  // ------------------------------------------------ colours by a column

  // What can colour: numbers, times and truth values that differ, texts of some kinds.
  colourColumns() {
    const { n, columns } = this.table;
    const varies = (column) => column.plot.some((value) => value !== column.plot[0] && !Number.isNaN(value));
    const usable = (column) => (column.kind === "text" ? column.words.length > 1 && column.words.length <= Math.min(MOST_KINDS, n / 2)
      : varies(column));
    const bare = this.table.meta.view.plane ? [this.table.meta.view.plane.x, this.table.meta.view.plane.y] : [];
    return [this.score, ...[...columns.values()].filter((column) => !column.id && !bare.includes(column.name)
      && !["reason", "change", "nearest"].includes(column.name) && usable(column))];
  }

  buildColours() {
    this.legend = element("div", { class: "ox-legend", "aria-live": "polite" });
    this.tintable = this.colourColumns();
    const verdict = { name: "", label: tr("{verdict} or not", { verdict: this.called() }) };
    this.colourChoice = choice(tr("Colour of all views"), [verdict, ...this.tintable], "", (name) => this.setColour(name));
    return this.colourChoice;
  }

  setColour(name) {
    const column = this.tintable?.find((each) => each.name === name);
    if (!column) this.tint = null;
    else {
      const grey = rgba(this.colour("--none"));
      this.tint = { column, ...(areKinds(column) ? tintOfKinds : tintOfNumbers)(column, this.table.n, grey) };
    }
    if (this.colourChoice) this.colourChoice.value = column ? name : "";
    for (const view of this.views) view.paint();
    this.sayColours();
  }

  sayColours() {
    if (!this.legend) return;
    const swatch = (colour, kind = "") => {
      const made = element("span", { class: `ox-swatch ${kind}` });
      if (colour) made.style.background = `rgb(${colour.join()})`;
      return made;
    };
    const item = (...parts) => element("span", { class: "ox-item" }, ...parts);
    const parts = [];
    if (this.tint?.ends) {
      const bar = swatch(null, "ox-bar");
      bar.style.background = `linear-gradient(to right, ${RAMP.join()})`;
      parts.push(item(this.tint.ends[0], bar, this.tint.ends[1]));
    }
    if (!this.tint) parts.push(item(swatch(null, "ox-odd"), this.called()), item(swatch(null, "ox-rest"), tr("the others")));
    else {
      for (const [colour, text] of this.tint.legend) parts.push(item(...(colour ? [swatch(colour)] : []), text));
      parts.push(item(swatch(null, "ox-rim"), this.called()));
    }
    this.legend.replaceChildren(...parts);
  }

  setFilter(text) {
    if (!this.takeFilter(text)) return false;
    this.sieve();
    this.judge();
    this.repaint();
    this.page = 0;
    this.refresh();
    return true;
  }

  // The points anew, and what is shaded below them where other rows pass.
  repaint() {
    const moved = this.shading && this.drawnSieve !== this.sieved;
    this.drawnSieve = this.sieved;
    for (const view of this.views) view[moved ? "show" : "paint"]();
  }

  // Another file or time is to be shown alone.
  limit() {
    this.sieve();
    this.judge();
    this.repaint();
    this.page = 0;
    this.refresh();
  }

  filterColumns() {
    const columns = new Map();
    for (const column of this.table.columns.values())
      columns.set(column.name, { type: column.filterType, value: (i) => column.value(i) });
    columns.set(this.scoreName, { type: "number", value: (i) => this.scores[i] });
    if (!columns.has("row")) columns.set("row", { type: "number", value: (i) => i });
    columns.set(this.word, { type: "bool", value: (i) => this.flag[i] === 1 });
    if (!columns.has("selected")) columns.set("selected", { type: "bool", value: (i) => this.selected[i] === 1 });
    return columns;
  }

  sieve() {
    const { shown, filter, run } = this;
    const limited = Boolean(run?.limited);
    let n = 0;
    for (let i = 0; i < shown.length; i++) {
      shown[i] = (filter === null || filter.test(i)) && (!limited || run.keeps(i)) ? 1 : 0;
      n += shown[i];
    }
    this.nShown = n;
    this.sieved += 1;
    this.nFlagShown = this.flag.reduce((sum, value, i) => sum + (value & shown[i]), 0);
  }

  selectionChanged(quiet = false) {
    this.nSelected = this.selected.reduce((sum, value) => sum + value, 0);
    if (this.filter?.uses.has("selected")) {
      this.sieve();
      this.judge();
    }
    this.repaint();
    this.page = 0;
    this.refresh();
    if (!quiet) this.onchange({ selected: this.selectedRows() });
  }

  flaggedRows() {
    return markedRows(this.flag);
  }

  pointAt(row) {
    if (row === this.hover) return;
    this.hover = row;
    for (const view of this.views) view.mark();
    this.tip.textContent = row < 0 ? "" : this.inBrief(row);
  }

  inBrief(i) {
    const names = [this.idColumn, this.table.columns.get("time"), this.views.at(-1)?.y].filter((column) => column?.text);
    const parts = names.map((column) => `${column.name} ${column.text(i)}`);
    if (this.tint && !this.tint.column.score && !names.includes(this.tint.column)) parts.push(`${this.tint.column.name} ${this.tint.column.text(i)}`);
    return [...parts, tr("score {value}", { value: brief(this.scores[i]) })].join(", ");
  }

  open(row) {
    this.current = row;
    this.neighbourRows = [];
    this.showCard();
    for (const view of this.views) view.mark();
    this.markTable();
    this.peaks?.refresh();
    this.onstate?.();
  }

  // ------------------------------------------------ the page

  build() {
    const { meta } = this.table;
    const id = `ox${(serial += 1)}`;
    this.idColumn = [...this.table.columns.values()].find((column) => column.id) ?? null;
    this.views = [];
    this.run = meta.run ? new RunPanel(this, this.bytes) : null;
    this.shading = meta.digest ? new Shades(this, this.bytes) : null;
    this.bytes = null;
    if (meta.view.lat) this.views.push(new MapView(this));
    if (meta.view.plane) this.views.push(new PlaneView(this));
    if (meta.view.fx) this.views.push(new PairView(this, "scatter", tr("Two features"), meta.view.fx, meta.view.fy));
    this.views.push(new PairView(this, "track", meta.view.track_title, meta.view.x, meta.view.y));
    const theme = element("button", { type: "button", class: "ox-button", text: tr("Light / dark"), onclick: () => this.turn() });
    const title = element("div", {}, element("h1", { text: meta.title }), element("p", { class: "ox-sub", text: meta.subtitle }));
    this.root.append(
      element("header", { class: "ox-top" }, title, theme),
      this.buildControls(id),
      ...(this.run ? [this.run.panel] : []),
      ...(this.peaks ? [this.peaks.panel] : []),
      element("div", { class: `ox-grid${meta.view.lat && (meta.view.fx || meta.view.plane) ? "" : " ox-one"}${meta.view.plane ? " ox-high" : ""}` }, ...this.views.map((view) => view.panel)),
      element("p", { class: "ox-tip", "aria-hidden": "true" }, (this.tip = element("span"))),
      (this.facets = new FacetPanel(this)).panel,
      (this.clusterings = new ClusteringPanel(this)).panel,
      ...(this.table.tile ? [this.buildGallery()] : []),
      element("div", { class: "ox-lower" }, this.buildTable(id), this.buildCard()),
      this.buildNotes(),
    );
    this.watchEscape();
  }

  buildControls(id) {
    const { meta } = this.table;
    this.counted = element("output", { class: "ox-count", "aria-live": "polite", "aria-atomic": "true" });
    const bar = element("div", { class: "ox-controls" });
    if (!this.fixed) bar.append(this.buildSlider(id, meta));
    else bar.append(element("div", { class: "ox-eps" }, this.counted, element("p", { class: "ox-sub", text: meta.words.no_slider })));
    this.filterBox = element("input", { id: `${id}f`, type: "text", spellcheck: "false", autocomplete: "off",
      placeholder: meta.words.example, "aria-describedby": `${id}e` });
    this.filterError = element("p", { id: `${id}e`, class: "ox-error", role: "status" });
    const apply = () => this.setFilter(this.filterBox.value);
    this.filterBox.addEventListener("input", () => this.soon(apply));
    this.filterBox.addEventListener("keydown", (event) => {
      if (event.key === "Enter") apply();
    });
    this.filterBox.addEventListener("change", apply);
    const button = (text, act, more = {}) => element("button", { type: "button", class: "ox-button", text, onclick: act, ...more });
    this.lassoButton = button(tr("Lasso"), () => this.setLasso(!this.lassoing), { "aria-pressed": "false",
      title: tr("Draw around rows in any view; Shift adds, Alt takes away") });
    this.selectButton = button(tr("Select {verdict}", { verdict: this.called() }), () => this.selectWhere((i) => this.flag[i] === 1));
    this.clearButton = button(tr("Clear"), () => this.setSelected([]));
    this.exportButton = button(tr("Export CSV"), () => this.download());
    bar.append(element("div", { class: "ox-filter" },
      element("label", { for: `${id}f`, text: tr("Filter") }), this.filterBox,
      element("div", { class: "ox-buttons" }, this.lassoButton, this.selectButton, this.clearButton, this.exportButton),
      this.filterError));
    return bar;
  }

  buildSlider(id, meta) {
    const name = tr(meta.words.threshold);
    this.slider = element("input", { id: `${id}s`, type: "range", min: "0", max: "1000", step: "1", "aria-describedby": `${id}c` });
    this.number = element("input", { type: "number", step: "any", "aria-label": tr("{what}, exact number", { what: name }) });
    this.counted.id = `${id}c`;
    this.slider.addEventListener("input", () => this.setEps(this.atPosition(Number(this.slider.value))));
    this.number.addEventListener("change", () => this.setEps(this.number.value === "" ? NaN : this.number.valueAsNumber));
    const step = (text, label, direction) => element("button", { type: "button", class: "ox-tool", text, title: label,
      "aria-label": label, onclick: () => this.stepEps(direction) });
    const run = element("button", { type: "button", class: "ox-button", text: tr("As in the run"), onclick: () => {
      this.setMinSamples(meta.min_samples);
      this.setEps(meta.eps);
    } });
    this.profile = element("canvas", { class: "ox-profile", "aria-hidden": "true" });
    const parts = [element("label", { for: `${id}s`, text: name }), this.number,
      step("‹", tr("Lower, to where the count changes"), -1), step("›", tr("Higher, to where the count changes"), 1)];
    if (this.table.settings.length > 1) {
      this.minSamples = element("select", { id: `${id}m` });
      for (const { min_samples: m, info } of this.table.settings)
        this.minSamples.append(element("option", { value: m, text: info.drawn ? tr("{m} of {n} drawn rows", { m: String(m), n: info.drawn }) : String(m) }));
      this.minSamples.addEventListener("change", () => this.setMinSamples(Number(this.minSamples.value)));
      parts.push(element("label", { for: `${id}m`, text: "min_samples" }), this.minSamples);
    }
    return element("div", { class: "ox-eps" }, element("div", { class: "ox-row" }, ...parts, run),
      element("div", { class: "ox-slide" }, this.profile, this.slider), this.counted);
  }

  // Positions of the slider: evenly in the logarithm where radii are above 0, four digits, so that what is shown is what is used.
  bounds() {
    if (this.boundsOf === this.setting) return this.span;
    let [low, high, zero] = [Infinity, 0, false];
    let [least, most] = [Infinity, -Infinity];
    for (const value of this.scores) {
      if (!Number.isFinite(value)) continue;
      if (value > 0 && value < low) low = value;
      if (value > high) high = value;
      if (value < 0) zero = true;
      if (value < least) least = value;
      if (value > most) most = value;
    }
    const logarithmic = !zero && this.table.meta.words.threshold !== "threshold";
    if (logarithmic) this.span = low > high ? [0.1, 10, true] : [this.floor > 0 ? this.floor : low * 0.9, high * 1.1, true];
    else {
      if (least > most) [least, most] = [0, 1];
      const margin = 0.02 * (most - least) || 1;
      this.span = [Math.max(least - margin, this.floor), most + margin, false];
    }
    this.boundsOf = this.setting;
    return this.span;
  }

  atPosition(position) {
    const [low, high, logarithmic] = this.bounds();
    const t = position / 1000;
    const value = logarithmic ? low * (high / low) ** t : low + (high - low) * t;
    return Number(value.toPrecision(4));
  }

  positionOf(eps) {
    const [low, high, logarithmic] = this.bounds();
    const t = logarithmic ? Math.log(Math.max(eps, low) / low) / Math.log(high / low) : (eps - low) / (high - low);
    return Math.max(0, Math.min(1000, 1000 * t));
  }

  // To the next eps at which one row more, or one less, is isolated.
  stepEps(direction) {
    let [below, above, floor] = [-Infinity, Infinity, -Infinity];
    for (const value of this.scores) {
      if (value > this.eps && value < above) above = value;
      if (value <= this.eps && value > floor) floor = value;
    }
    if (direction > 0) return Number.isFinite(above) && this.setEps(above);
    for (const value of this.scores) if (value < floor && value > below) below = value;
    const least = this.bounds()[0];
    this.setEps(Number.isFinite(below) ? below : Math.min(least, floor));
  }

  // How many rows are isolated at every position of the slider.
  drawProfile() {
    if (!this.profile) return;
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(this.profile.clientWidth * ratio), Math.round(this.profile.clientHeight * ratio)];
    if (!w || !h) return;
    [this.profile.width, this.profile.height] = [w, h];
    const bins = new Float64Array(w + 1);
    let total = 0;
    for (const value of this.scores) {
      if (Number.isNaN(value)) continue;
      total += 1;
      bins[Math.max(0, Math.min(w, Math.round((this.positionOf(value) / 1000) * w)))] += 1;
    }
    const context = this.profile.getContext("2d", IN_MEMORY);
    context.fillStyle = this.colour("--curve");
    context.beginPath();
    context.moveTo(0, h);
    let left = total;
    for (let x = 0; x <= w; x++) {
      context.lineTo(x, h - (h - 2) * (Math.log1p(left) / Math.log1p(total || 1)));
      left -= bins[x];
    }
    context.lineTo(w, h);
    context.fill();
  }

  buildTable(id) {
    const names = this.table.meta.view.table;
    this.tableColumns = names.map((name) => this.table.columns.get(name)).filter(Boolean);
    this.caption = element("caption");
    this.body = element("tbody");
    const heads = [" ", ...this.tableColumns.map((column) => column.label), this.scoreName, tr("reason")];
    const head = element("tr", {}, ...heads.map((text, k) => element("th", { scope: "col", class: this.cellClass(k) },
      ...(k ? headText(text) : [element("span", { class: "ox-unseen", text: this.called(1) })]))));
    const page = (text, label, by) => element("button", { type: "button", class: "ox-button", text, "aria-label": label, onclick: () => {
      this.page += by;
      this.fillTable();
    } });
    this.before = page(tr("‹ Previous"), tr("Previous rows"), -1);
    this.after = page(tr("Next ›"), tr("Next rows"), 1);
    this.pageText = element("span", { class: "ox-sub" });
    this.body.addEventListener("keydown", (event) => this.walk(event));
    return element("section", { class: "ox-panel ox-list", "aria-label": this.noun === "row" ? tr("Rows") : tr(`List of ${this.noun}s`) },
      element("div", { class: "ox-scroll" },
        element("table", { id: `${id}t` }, this.caption, element("thead", {}, head), this.body)),
      element("div", { class: "ox-pager" }, this.before, this.pageText, this.after),
      element("p", { class: "ox-sub", text: tr("Arrow keys walk through the rows, Enter opens one, Space selects it.") }));
  }

  cellClass(k) {
    const column = this.tableColumns[k - 1];
    if (column && ["time", "latitude", "longitude"].includes(column.name)) return column.kind === "number" ? "ox-num ox-wide" : "ox-wide";
    return k === 0 ? "ox-mark" : k === this.tableColumns.length + 1 || (column && column.kind === "number") ? "ox-num" : "";
  }

  // The oddest rows in sight: kept in a heap, so that a million rows cost one pass.
  oddest(limit) {
    const { scores, shown, selected, nSelected } = this;
    const heap = [];
    const key = (i) => (Number.isNaN(scores[i]) ? -Infinity : scores[i]);
    const before = (a, b) => key(a) < key(b) || (key(a) === key(b) && a > b);
    const sink = (at) => {
      for (;;) {
        let least = at;
        for (const child of [2 * at + 1, 2 * at + 2]) if (child < heap.length && before(heap[child], heap[least])) least = child;
        if (least === at) return;
        [heap[at], heap[least]] = [heap[least], heap[at]];
        at = least;
      }
    };
    for (let i = 0; i < scores.length; i++) {
      if (!shown[i] || (nSelected && !selected[i])) continue;
      if (heap.length < limit) {
        heap.push(i);
        for (let at = heap.length - 1; at > 0; ) {
          const parent = (at - 1) >> 1;
          if (!before(heap[at], heap[parent])) break;
          [heap[at], heap[parent]] = [heap[parent], heap[at]];
          at = parent;
        }
      } else if (before(heap[0], i)) {
        heap[0] = i;
        sink(0);
      }
    }
    return heap.sort((a, b) => (before(b, a) ? -1 : 1));
  }

  refresh() {
    const listed = `${this.setting.min_samples}|${this.nSelected}|${this.filterBox.value}|${this.page}|${this.filter?.uses.has(this.word) ? this.eps : ""}|${this.run?.key ?? ""}|${this.nSelected ? this.selectedRows().join() : ""}`;
    if (listed !== this.listed) {
      this.listed = listed;
      this.top = this.oddest(TOP_ROWS);
      this.fillTable();
      this.fillGallery();
    } else this.markTable();
    this.sayCount();
    this.showCard();
    this.peaks?.refresh();
    this.run?.refresh();
    this.facets.refresh();
    this.clusterings.refresh();
    this.onstate?.();
  }

  sayCount() {
    const { n } = this.table;
    const told = { n: this.nFlag, rows: plural(this.total, this.noun), verdict: this.called(this.nFlag), threshold: tr(this.table.meta.words.threshold), value: brief(this.eps) };
    const parts = [this.fixed ? tr("{n} of {rows} {verdict}", told) : tr("{n} of {rows} {verdict} at {threshold} {value}", told)];
    if (this.nShown < n) parts.push(tr("{who} {what}, {n} of them {verdict}", { who: this.run?.limited ? tr("the choice shows") : tr("the filter shows"), what: this.shading ? tr("{m} of {n} points", { m: this.nShown, n }) : count(this.nShown), n: this.nFlagShown, verdict: this.called(this.nFlagShown) }));
    else if (this.shading) parts.push(tr("{n} rows are points, the others shading", { n }));
    if (this.nSelected) parts.push(`${count(this.nSelected)} ${agreed("selected", this.noun, this.nSelected)}`);
    const text = parts.join("; ");
    if (this.counted.textContent !== text) this.counted.textContent = text;
    if (this.slider) {
      this.slider.value = String(this.positionOf(this.eps));
      this.slider.setAttribute("aria-valuetext", `${told.threshold} ${told.value}, ${plural(this.nFlag, this.noun)} ${told.verdict}`);
      if (document.activeElement !== this.number || this.number.valueAsNumber !== this.eps) this.number.value = String(this.eps);
      if (this.minSamples) this.minSamples.value = String(this.setting.min_samples);
    }
    this.clearButton.disabled = this.nSelected === 0;
    this.selectButton.disabled = this.nFlagShown === 0;
    const n_out = this.nSelected || this.nFlagShown;
    this.exportButton.textContent = tr("Export {n} {which} as CSV", { n: n_out, which: this.nSelected ? agreed("selected", this.noun, n_out) : this.called(n_out) });
    this.exportButton.disabled = n_out === 0;
  }

  fillTable() {
    const pages = Math.max(1, Math.ceil(this.top.length / PAGE));
    this.page = Math.max(0, Math.min(this.page, pages - 1));
    const rows = this.top.slice(this.page * PAGE, (this.page + 1) * PAGE);
    const reason = this.table.columns.get("reason");
    this.body.replaceChildren(...rows.map((i, k) => {
      const texts = ["", ...this.tableColumns.map((column) => column.kind === "number" && column.type[0] === "f" && !column.id
        ? brief(column.plot[i]) : column.shown(i)), brief(this.scores[i]), reason ? reason.shown(i) : ""];
      const cells = texts.map((text, j) => element(j === 1 ? "th" : "td", { scope: j === 1 ? "row" : null, class: this.cellClass(j), text }));
      const row = element("tr", { tabindex: k === 0 ? "0" : "-1" }, ...cells);
      row.dataset.row = String(i);
      row.addEventListener("click", () => {
        this.open(i);
        row.focus();
      });
      row.addEventListener("focus", () => this.roving(row));
      return row;
    }));
    const what = this.nSelected ? plural(this.nSelected, `selected ${this.noun}`) : plural(this.nShown, this.noun);
    this.caption.textContent = tr("The oddest of {what}, highest {score} first", { what, score: this.scoreName });
    const first = this.page * PAGE;
    const limit = this.top.length === TOP_ROWS ? tr(", the first {n} can be listed", { n: TOP_ROWS }) : "";
    this.pageText.textContent = rows.length ? `${first + 1}–${first + rows.length}${limit}` : tr(`no ${this.noun}`);
    this.before.disabled = this.page === 0;
    this.after.disabled = this.page >= pages - 1;
    this.markTable();
  }

  markTable() {
    for (const row of this.body.children) {
      const i = Number(row.dataset.row);
      row.setAttribute("aria-selected", String(this.selected[i] === 1));
      row.classList.toggle("ox-current", i === this.current);
      const mark = row.firstChild;
      mark.textContent = this.flag[i] ? "●" : "";
      mark.setAttribute("aria-label", this.flag[i] ? this.called(1) : tr("not {verdict}", { verdict: this.called(1) }));
    }
    for (const tile of this.gallery?.querySelectorAll(".ox-tile") ?? []) {
      const i = Number(tile.dataset.row);
      tile.classList.toggle("ox-is", this.flag[i] === 1);
      tile.setAttribute("aria-current", String(i === this.current));
    }
  }

  roving(row) {
    for (const other of this.body.children) other.tabIndex = other === row ? 0 : -1;
  }

  walk(event) {
    const row = event.target.closest("tr");
    const i = Number(row.dataset.row);
    if (event.key === "Enter") this.open(i);
    else if (event.key === " ") this.toggleKeeping(i);
    else {
      const moves = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling, Home: this.body.firstChild,
        End: this.body.lastChild };
      if (!(event.key in moves)) return;
      const to = moves[event.key];
      if (to) {
        to.focus();
        this.open(Number(to.dataset.row));
      } else if (event.key === "ArrowDown" && !this.after.disabled) {
        this.page += 1;
        this.fillTable();
        this.body.firstChild.focus();
      } else if (event.key === "ArrowUp" && !this.before.disabled) {
        this.page -= 1;
        this.fillTable();
        this.body.lastChild.focus();
      }
    }
    event.preventDefault();
  }

  // The list stays as it is while rows are chosen from it; else the row would jump from under the finger.
  toggleKeeping(i) {
    this.selected[i] ^= 1;
    this.nSelected += this.selected[i] ? 1 : -1;
    for (const view of this.views) view.paint();
    this.markTable();
    this.sayCount();
    this.peaks?.refresh();
    this.onchange({ selected: this.selectedRows() });
  }

  buildCard() {
    this.card = element("section", { class: "ox-panel ox-card", "aria-label": tr(`One ${this.noun}`) });
    return this.card;
  }

  showCard() {
    const i = this.current;
    const key = `${i}|${this.eps}|${this.setting.min_samples}`;
    if (key === this.cardKey) return;
    this.cardKey = key;
    if (i < 0) {
      this.neighbourRows = [];
      this.card.replaceChildren(element("h2", { text: tr(`One ${this.noun}`) }),
        element("p", { class: "ox-sub", text: tr("Click a point or a line of the table: its values, its reason and its neighbours are shown here.") }));
      return;
    }
    const { meta } = this.table;
    const parts = [element("h2", { text: this.nameOf(i) }), element("p", { class: this.flag[i] ? "ox-verdict ox-is" : "ox-verdict", text: this.verdict(i) })];
    const why = element("div", {}, ...this.why(i).map((text) => element("p", { text })));
    parts.push(why);
    clearTimeout(this.asking);
    // All core rows are looked at: not at every step of a moving slider.
    if (this.canExplain() && this.moved()) this.asking = setTimeout(() => {
      if (this.cardKey === key) why.replaceChildren(...this.liveWhy(i).map((text) => element("p", { text })));
    }, 150);
    const some = meta.pictures?.some && this.table.tile[i] < 0;
    if (some) parts.push(element("p", { class: "ox-sub", text: tr(`No picture of this ${this.noun} is in the file.`) }));
    else if (this.table.tile) parts.push(this.picture(i, Math.max(160, Math.min(300, meta.pictures.size))));
    parts.push(...this.neighbours(i));
    const list = element("dl", {}, element("div", {}, element("dt", { text: this.scoreName }),
      element("dd", { text: Number.isNaN(this.scores[i]) ? tr("missing") : shortest(this.scores[i], false) })));
    for (const column of this.table.columns.values()) {
      if (column.name === "reason" || column.name === "change") continue;
      list.append(element("div", {}, element("dt", { text: column.label }), element("dd", { text: column.shown(i) || tr("missing") })));
    }
    parts.push(element("h3", { text: tr("Values") }), list);
    if (meta.left_out.length) parts.push(element("p", { class: "ox-sub", text: tr("Not in this file, to keep it small: {names}", { names: meta.left_out.join(", ") }) }));
    this.card.replaceChildren(...parts);
    for (const view of this.views) view.mark();
  }

  nameOf(i) {
    return this.idColumn ? `${this.idColumn.name} ${this.idColumn.text(i)}` : `${tr(this.noun)} ${i}`;
  }

  verdict(i) {
    const { words } = this.table.meta;
    const score = `${words.score.replace(/ \(.*/, "")} ${threeDigits(this.scores[i], this.fixed ? NaN : Number(brief(this.eps)))}`;
    const verdict = this.flag[i] ? this.called(1) : tr("not {verdict}", { verdict: this.called(1) });
    if (this.fixed) return `${verdict}; ${score}`;
    const setting = this.setting.min_samples !== null ? `, min_samples ${this.setting.min_samples}` : "";
    return `${tr("{verdict} at {threshold} {value}", { verdict, threshold: tr(words.threshold), value: brief(this.eps) })}${setting}; ${score}`;
  }

  moved() {
    const { meta } = this.table;
    return !this.fixed && (this.eps !== meta.eps || this.setting.min_samples !== meta.min_samples);
  }

  canExplain() {
    return Boolean(this.setting.core && this.table.meta.neighbours && !this.table.near);
  }

  liveWhy(i) {
    if (!this.flag[i]) return [];
    const found = this.explain(i);
    if (!found) return [tr("Reason: no row is core at this eps, so every row is isolated")];
    const told = found.reason ? [tr("Reason: {why}", { why: sharesInWords(found.reason) })] : [];
    if (found.feature) {
      const unit = / \(([^()]*)\)$/.exec(this.table.columns.get(found.feature).label);
      told.push(this.unless(found.feature, `${found.told}${unit ? ` ${unit[1]}` : ""}`, found.change > 0));
    }
    return told;
  }

  // Nearest core row, the share of each feature in the distance to it, and the smallest change of one feature that
  // brings the row within eps of a core row: what IsolatedSoundings.explain does, at the eps and min_samples of the page.
  explain(i) {
    const { core } = this.setting;
    const { eps } = this;
    const features = this.table.meta.neighbours.features.map(({ name, mean, scale }) => ({ name, scale, mean,
      values: this.table.columns.get(name).plot }));
    const row = (q, into = new Float64Array(features.length)) => {
      features.forEach(({ values, mean, scale }, j) => { into[j] = (values[q] - mean) / scale; });
      return into;
    };
    const scratch = new Float64Array(features.length);
    const cores = [];
    for (let q = 0; q < core.length; q++) if (core[q] <= eps) cores.push(q);
    if (!cores.length) return null;
    const own = row(i);
    let [nearest, least] = [-1, Infinity];
    for (const q of cores) {
      const square = squareBetween(own, row(q, scratch));
      if (square < least) [least, nearest] = [square, q];
    }
    const near = row(nearest);
    const shares = features.map(({ name }, j) => [name, (near[j] - own[j]) ** 2 / least]);
    shares.sort((a, b) => b[1] - a[1]);
    let [sum, n] = [0, 0];
    while (n < Math.min(3, shares.length) && sum < 0.9) sum += shares[n++][1];
    const reason = least === 0 ? "" : shares.slice(0, n).map(([name, share]) => `${name} ${Math.round(100 * share)}%`).join(", ");
    const move = smallestMove(own, cores, row, features.map(({ scale }) => scale), eps * eps);
    const found = { nearest, distance: Math.sqrt(least), reason, feature: null, change: NaN, most: NaN, told: "" };
    if (!move) return found;
    const { name, mean, scale } = features[move.j];
    const size = Math.abs(mean) + Math.abs(move.least) + scale * Math.abs(own[move.j]);
    return { ...found, feature: name, change: move.least, most: move.most,
      told: toldChange(Math.abs(move.least), Math.abs(move.most), size) };
  }

  // The reason as Python found it holds for the eps of the run; it says so when another one is set.
  why(i) {
    const { meta } = this.table;
    const reason = this.table.columns.get("reason")?.shown(i);
    const change = this.table.columns.get("change")?.text(i);
    const as = !this.moved() ? "" : meta.by_factor ? tr(" (at factor 1, as in the run)") : meta.words.threshold === "eps" ? tr(" (at eps {value} and min_samples {m}, as in the run)", { value: brief(meta.eps), m: String(meta.min_samples) }) : "";
    const told = [];
    if (reason) told.push(tr("Reason: {why}", { why: reason }) + as);
    const parts = /^(\S+) (.*) (higher|lower)$/.exec(change ?? "");
    if (parts) told.push(this.unless(parts[1], parts[2], parts[3] === "higher") + as);
    else if (change) told.push(`Would not be ${this.say} if ${change.replace(/^(\S+) /, "$1 were ")}${as}`);
    return told;
  }

  // The change that would end the verdict, in a sentence.
  unless(feature, amount, up) {
    const told = { verdict: this.called(1), feature, amount };
    return up ? tr("Would not be {verdict} if {feature} were {amount} higher", told) : tr("Would not be {verdict} if {feature} were {amount} lower", told);
  }

  // The k nearest rows by the standardised features, searched here among all rows; or looked up, where features were left out.
  neighbours(i) {
    const { meta, columns } = this.table;
    if (!meta.neighbours) return [];
    const features = meta.neighbours.features.map((feature) => ({ ...feature, column: columns.get(feature.name) }));
    const k = meta.neighbours.k;
    let found = [];
    if (this.table.near && !this.table.near.of) {
      for (const j of this.table.near.rows.subarray(i * k, (i + 1) * k)) if (j >= 0) found.push([j, NaN]);
    } else if (this.table.near) {
      const place = this.table.near.of.indexOf(i);
      if (place < 0) return [element("p", { class: "ox-sub", text: tr("Neighbours are in this file for the {n} oddest rows.", { n: this.table.near.of.length }) })];
      for (let j = 0; j < k; j++) found.push([this.table.near.rows[place * k + j], NaN]);
    } else {
      const total = new Float64Array(this.table.n);
      for (const { column, mean, scale } of features) {
        const values = column.plot;
        const own = (values[i] - mean) / scale;
        for (let j = 0; j < total.length; j++) {
          const gap = (values[j] - mean) / scale - own;
          total[j] += gap * gap;
        }
      }
      total[i] = Infinity;
      const best = [];
      for (let j = 0; j < total.length; j++) {
        if (best.length === k && !(total[j] < best[k - 1][1])) continue;
        if (!(total[j] < Infinity)) continue;
        let at = best.length;
        while (at > 0 && best[at - 1][1] > total[j]) at -= 1;
        best.splice(at, 0, [j, total[j]]);
        if (best.length > k) best.pop();
      }
      found = best.map(([j, square]) => [j, Math.sqrt(square)]);
    }
    this.neighbourRows = found.map(([j]) => j);
    const shown = this.views.at(-1).y;
    const away = this.table.near && !this.table.near.of ? (j) => this.kilometres(i, j) : () => "";
    const items = found.map(([j, distance]) => element("li", {}, element("button", { type: "button", class: "ox-link",
      text: this.idColumn ? this.idColumn.text(j) : `${tr(this.noun)} ${j}`, onclick: () => this.open(j) }),
    element("span", { text: [Number.isNaN(distance) ? "" : tr(" at {distance}", { distance: `${brief(distance)}${this.table.meta.words.unit ?? ""}` }), away(j), this.noun === "row" && shown.text && !shown.score ? `, ${shown.name} ${brief(shown.plot[j])}` : ""].join("") })));
    if (!items.length) return [];
    return [element("h3", { text: this.noun === "row" ? tr("Nearest rows") : tr(`Nearest ${this.noun}s, in all dimensions`) }), element("ol", {}, ...items)];
  }

  // How far away on the ground, in words; nothing where a place is not known.
  kilometres(i, j) {
    const { lat, lon } = this.table.meta.view;
    if (!lat) return "";
    const [a, b, c, d] = [[lat, i], [lon, i], [lat, j], [lon, j]].map(([name, k]) => (Number(this.table.columns.get(name).plot[k]) * Math.PI) / 180);
    const half = Math.sin((c - a) / 2) ** 2 + Math.cos(a) * Math.cos(c) * Math.sin((d - b) / 2) ** 2;
    const km = 2 * 6371.0088 * Math.asin(Math.min(1, Math.sqrt(half)));
    const flag = this.flag[j] ? `, ${this.called(1)}` : "";
    return Number.isNaN(km) ? flag : tr(", {km} km away", { km: km < 9.95 ? km.toFixed(1) : count(Math.round(km)) }) + flag;
  }

  // ------------------------------------------------ pictures

  buildGallery() {
    const { meta } = this.table;
    this.sheets = this.table.sheets.map((bytes) => URL.createObjectURL(new Blob([bytes], { type: meta.pictures.type })));
    this.gallery = element("div", { class: "ox-gallery", role: "list" });
    return element("section", { class: "ox-panel", "aria-label": tr("Pictures") }, (this.galleryHead = element("h2")), this.gallery);
  }

  picture(i, width) {
    const { size, across, per_sheet } = this.table.meta.pictures;
    const tile = this.table.tile[i];
    const box = element("span", { class: "ox-picture", role: "img", "aria-label": tile < 0 ? tr("no picture of {name}", { name: this.nameOf(i) }) : tr("picture of {name}", { name: this.nameOf(i) }) });
    [box.style.width, box.style.height] = [`${width}px`, `${width}px`];
    if (tile < 0) return box;
    const sheet = Math.floor(tile / per_sheet);
    const at = tile % per_sheet;
    const scale = width / size;
    box.style.backgroundImage = `url("${this.sheets[sheet]}")`;
    box.style.backgroundSize = `${across * size * scale}px auto`;
    box.style.backgroundPosition = `${-(at % across) * width}px ${-Math.floor(at / across) * width}px`;
    return box;
  }

  fillGallery() {
    if (!this.gallery) return;
    const listed = this.table.meta.pictures.some ? this.top.filter((i) => this.table.tile[i] >= 0) : this.top;
    const seen = Math.min(TILES, listed.length);
    this.galleryHead.textContent = tr("Pictures, the oddest first: {seen} of {n}", { seen, n: this.nSelected || this.nShown });
    this.gallery.replaceChildren(...listed.slice(0, TILES).map((i) => {
      const tile = element("button", { type: "button", class: "ox-tile", onclick: () => this.open(i) }, this.picture(i, 96),
        element("span", { text: brief(this.scores[i]) }));
      tile.dataset.row = String(i);
      return element("div", { role: "listitem" }, tile);
    }));
    this.markTable();
  }

  buildNotes() {
    const { notes } = this.table.meta;
    return element("footer", { class: "ox-notes" }, ...notes.map((text) => element("p", { text })));
  }

  // ------------------------------------------------ actions

  setLasso(on) {
    this.lassoing = on;
    this.lassoButton.setAttribute("aria-pressed", String(on));
    this.root.classList.toggle("ox-lassoing", on);
  }

  csv() {
    const rows = this.nSelected ? this.selectedRows() : this.flaggedRows().filter((i) => this.shown[i]);
    const names = this.table.meta.view.exported;
    const columns = names.map((name) => this.table.columns.get(name)).filter(Boolean);
    const head = [...(columns.length && this.idColumn ? [] : ["row"]), ...columns.map((column) => column.name), this.scoreName, this.word];
    const lines = [head.map(cell).join(",")];
    for (const i of rows) {
      const texts = columns.map((column) => (column.kind === "text" ? cell(column.text(i)) : column.text(i)));
      lines.push([...(this.idColumn ? [] : [String(i)]), ...texts, Number.isNaN(this.scores[i]) ? "" : shortest(this.scores[i], false), this.flag[i] ? "True" : "False"].join(","));
    }
    return `${lines.join("\r\n")}\r\n`;
  }

  download() {
    offer(this.csv(), this.nSelected ? "selected.csv" : `${this.word}.csv`);
  }

  // ------------------------------------------------ looks

  recolour() {
    this.readColours();
    if (this.tint) this.setColour(this.tint.column.name);
    for (const view of this.views) {
      view.uplot.redraw(false, false);
      view.paint();
    }
    this.drawProfile();
    this.peaks?.draw();
    this.run?.draw();
    this.facets.refresh();
    this.clusterings.refresh();
  }

  colour(name) {
    return this.colours[name];
  }

  readColours() {
    const style = getComputedStyle(this.root);
    const names = ["--ink", "--ink2", "--paper", "--grid", "--rest", "--odd", "--pick", "--near", "--coast", "--sea", "--curve", "--none", "--shade", "--focus"];
    this.colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(name).trim()]));
    const rest = rgba(this.colours["--rest"]);
    // The more rows lie on a pixel, the fuller its colour.
    const shades = (left) => Uint32Array.from({ length: 256 },
      (_, k) => (k === 0 ? 0 : packed(rest, Math.min(255, Math.round(255 * (1 - left ** k) + 20)))));
    [this.shades, this.fewShades] = [shades(0.55), shades(0.2)];
  }

  watch() {
    const media = matchMedia("(prefers-color-scheme: dark)");
    const turned = () => this.recolour();
    media.addEventListener("change", turned);
    const sizes = new ResizeObserver(() => {
      for (const view of this.views) view.resize();
      this.drawProfile();
      this.run?.draw();
    });
    if (this.run) for (const canvas of [this.run.timeline.canvas, this.run.ways?.canvas]) if (canvas) sizes.observe(canvas);
    const tracks = this.peaks && new ResizeObserver(() => this.peaks.draw());
    tracks?.observe(this.peaks.place);
    for (const view of this.views) sizes.observe(view.plotArea);
    if (this.profile) sizes.observe(this.profile);
    this.destroy = () => {
      media.removeEventListener("change", turned);
      sizes.disconnect();
      tracks?.disconnect();
      this.peaks?.destroy();
      this.run?.destroy();
      for (const view of this.views) view.uplot.destroy();
      for (const address of this.sheets ?? []) URL.revokeObjectURL(address);
      this.root.replaceChildren();
    };
  }
}

// Shares of features, "xco2 92%, albedo 7%", with the sign as the language sets it.
const sharesInWords = (reason) => reason.replace(/(\d)%/g, (_, digit) => tr("{n}%", { n: digit }));

// A unit stands below its name, so that columns stay narrow.
function headText(label) {
  const match = /^(.*) (\([^()]*\))$/.exec(label);
  return match ? [match[1], element("span", { class: "ox-unit", text: match[2] })] : [label];
}

// ---------------------------------------------------------------- the state in the address

// What of the page differs from how it opened, as text for the end of an address: a local file can be shared with its view.
export function stateOf(app) {
  const { meta } = app.table;
  const told = new URLSearchParams();
  if (!app.fixed && app.eps !== meta.eps) told.set("eps", String(app.eps));
  if (!app.fixed && app.setting.min_samples !== meta.min_samples) told.set("min_samples", String(app.setting.min_samples));
  if (app.filter && app.filterBox.value.trim()) told.set("filter", app.filterBox.value.trim());
  if (app.run?.file >= 0) told.set("file", String(app.run.file));
  if (app.run?.range) told.set("days", app.run.range.map(dayText).join("~"));
  if (app.current >= 0) told.set("row", String(app.current));
  return String(told);
}

// Anyone may have written an address: numbers are looked at, and a filter is parsed as if it were typed.
export function takeState(app, text) {
  const told = new URLSearchParams(text);
  const whole = (name, most) => (/^\d{1,9}$/.test(told.get(name) ?? "") && Number(told.get(name)) < most ? Number(told.get(name)) : -1);
  if (told.has("min_samples")) app.setMinSamples(Number(told.get("min_samples")));
  if (told.get("eps") && Number.isFinite(Number(told.get("eps")))) app.setEps(Number(told.get("eps")));
  if (told.has("filter")) {
    app.filterBox.value = told.get("filter");
    app.setFilter(app.filterBox.value);
  }
  if (app.run) {
    const days = (told.get("days") ?? "").split("~").map((day) => (/^\d{4}-\d\d-\d\d$/.test(day) ? Date.parse(day) / DAY : NaN));
    app.run.choose({ file: whole("file", app.run.names.length), range: days.length === 2 && days[0] <= days[1] ? days : null });
  }
  if (told.has("row")) app.open(whole("row", app.table.n));
}

function keepState(app) {
  let timer = 0;
  if (location.hash.length > 1) takeState(app, location.hash.slice(1));
  app.onstate = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      try {
        const state = stateOf(app);
        if (state !== location.hash.slice(1)) history.replaceState(null, "", state ? `#${state}` : "#");
      } catch {
        app.onstate = null; // a page inside another one has no address of its own
      }
    }, 300);
  };
  addEventListener("hashchange", () => takeState(app, location.hash.slice(1)));
}

// ---------------------------------------------------------------- the page that `explore` writes

async function startPage() {
  const place = document.getElementById("explorer");
  try {
    const meta = JSON.parse(document.getElementById("explorer-meta").textContent);
    speak(meta.language);
    performance.mark("explorer-start");
    const bytes = await decode(document.getElementById("explorer-data").textContent);
    performance.mark("explorer-unpacked");
    document.getElementById("explorer-data").remove();
    place.replaceChildren();
    window.explorer = new Explorer(place, meta, bytes);
    keepState(window.explorer);
    performance.mark("explorer-built");
    noteFirstPicture();
  } catch (error) {
    place.textContent = tr("The explorer could not start: {why}", { why: error.message });
    throw error;
  }
}

if (typeof document !== "undefined" && document.getElementById("explorer-data")) startPage();

// ---------------------------------------------------------------- the widget

async function render({ model, el }) {
  const place = element("div");
  el.append(place);
  const data = model.get("_data");
  const view = new Uint8Array(data.buffer ?? data, data.byteOffset ?? 0, data.byteLength);
  const explorer = new Explorer(place, JSON.parse(model.get("_meta")), await inflate(view), {
    onchange: (changed) => {
      if ("selected" in changed) model.set("_rows", changed.selected);
      if ("eps" in changed) model.set("eps", changed.eps);
      if ("min_samples" in changed) model.set("min_samples", changed.min_samples);
      model.save_changes();
    },
  });
  explorer.setMinSamples(model.get("min_samples"), true);
  explorer.setEps(model.get("eps"), true);
  explorer.setSelected(model.get("_rows"), true);
  const same = (a, b) => a.length === b.length && a.every((value, k) => value === b[k]);
  const listeners = {
    "change:eps": () => model.get("eps") !== explorer.eps && explorer.setEps(model.get("eps"), true),
    "change:min_samples": () => explorer.setMinSamples(model.get("min_samples"), true),
    "change:_rows": () => same(model.get("_rows"), explorer.selectedRows()) || explorer.setSelected(model.get("_rows"), true),
  };
  for (const [name, act] of Object.entries(listeners)) model.on(name, act);
  return () => {
    for (const [name, act] of Object.entries(listeners)) model.off(name, act);
    explorer.destroy();
  };
}

export default { render };
