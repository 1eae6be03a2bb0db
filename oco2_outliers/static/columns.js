// What all pages share: columns out of packed bytes, colours by a column, and small helpers of the document. It stands
// below filter.js in one module. Text reaches the document through textContent only.

// ---------------------------------------------------------------- columns

const ARRAYS = {
  f4: Float32Array, f8: Float64Array, i1: Int8Array, u1: Uint8Array, i2: Int16Array, u2: Uint16Array, i4: Int32Array,
  u4: Uint32Array, i8: BigInt64Array, u8: BigUint64Array,
};
const NOT_A_TIME = -(2n ** 63n);

// Numbers were written byte plane by byte plane, which packs better; here they are put together again.
function unpack(bytes, { offset, type, n }) {
  const kind = ARRAYS[type];
  const size = kind.BYTES_PER_ELEMENT;
  if (size === 1) return new kind(bytes.buffer, bytes.byteOffset + offset, n);
  const out = new Uint8Array(n * size);
  for (let plane = 0; plane < size; plane++) {
    const from = offset + plane * n;
    for (let i = 0, to = plane; i < n; i++, to += size) out[to] = bytes[from + i];
  }
  return new kind(out.buffer);
}

// The shortest text that gives the same number back, in the precision the column has.
function shortest(value, single) {
  if (!single) return String(value);
  for (let digits = 6; digits < 9; digits++) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === value) return String(Number(text));
  }
  return String(Number(value.toPrecision(9)));
}

export function brief(value) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "–" : value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(2);
  return String(Number(value.toPrecision(size >= 1000 ? 6 : 4)));
}

const iso = (ms) => new Date(ms).toISOString().replace("T", " ").replace(/(\.000)?Z$/, "");

class Column {
  constructor(info, bytes) {
    Object.assign(this, info);
    this.bytes = bytes;
    this.numeric = this.kind === "number" || this.kind === "time" || this.kind === "bool";
  }

  // Put together when first looked at: most columns never are.
  get raw() {
    this._raw ??= unpack(this.bytes, this);
    return this._raw;
  }

  // Floats for the axes. Whole numbers of 64 bits are rounded here, and nowhere else.
  get plot() {
    this._plot ??= this.kind === "number" && this.type !== "i8" && this.type !== "u8"
      ? this.raw : Float64Array.from(this.raw, this.asFloat());
    return this._plot;
  }

  asFloat() {
    if (this.kind === "time") return (value) => (value === NOT_A_TIME ? NaN : this.milliseconds(value));
    if (this.kind === "bool") return (value) => (value > 1 ? NaN : value);
    return Number;
  }

  milliseconds(value) {
    const per = BigInt(this.per_ms);
    return per === 0n ? Number(value) * 1000 : Number(value / per) + Number(value % per) / this.per_ms;
  }

  // What the filter compares: numbers (BigInt where they have 64 bits), text, milliseconds, or null.
  value(i) {
    const value = this.raw[i];
    if (this.kind === "text") return value === 0 ? null : this.words[value - 1];
    if (this.kind === "time") return this.plot[i];
    if (this.kind === "bool") return value > 1 ? null : value === 1;
    return value;
  }

  text(i) {
    const value = this.raw[i];
    if (this.kind === "text") return value === 0 ? "" : this.words[value - 1];
    if (this.kind === "bool") return value > 1 ? "" : value === 1 ? "yes" : "no";
    if (this.kind === "time") return value === NOT_A_TIME ? "" : this.timeText(value);
    if (typeof value === "bigint") return String(value);
    if (Number.isNaN(value)) return "";
    if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
    return this.type[0] === "f" ? shortest(value, this.type === "f4") : String(value);
  }

  timeText(value) {
    const per = BigInt(this.per_ms || 1);
    const ms = this.per_ms === 0 ? value * 1000n : value / per;
    if (ms < -8640000000000000n || ms > 8640000000000000n) return String(value);
    const rest = value % per;
    return this.per_ms > 1 && rest > 0n ? `${iso(Number(ms))}+${Number(rest) / this.per_ms}ms` : iso(Number(ms));
  }

  // The text as it is shown: reasons in the language of the page. A filter and a file keep the one of the data.
  shown(i) {
    const value = this.raw[i];
    if (this.kind === "text") return value === 0 ? "" : (this.said ?? this.words)[value - 1];
    return this.kind === "bool" && value <= 1 ? tr(value === 1 ? "yes" : "no") : this.text(i);
  }

  get filterType() {
    return this.kind;
  }
}

export async function decode(text) {
  if (typeof DecompressionStream === "undefined")
    throw new Error(tr("this browser cannot unpack the data (no DecompressionStream): use one from 2023 or later"));
  return inflate(fromBase64(text));
}

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text.trim());
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// ---------------------------------------------------------------- small helpers of the document

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "class") made.className = value;
    else if (key === "text") made.textContent = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function choice(label, columns, chosen, onchange) {
  const select = element("select", { "aria-label": label });
  for (const column of columns) {
    const option = element("option", { value: column.name, text: column.label });
    option.selected = column.name === chosen;
    select.append(option);
  }
  select.addEventListener("change", () => onchange(select.value));
  return select;
}

const rgba = (text) => {
  const value = parseInt(text.trim().slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
};
const packed = ([r, g, b], alpha = 255) => ((alpha << 24) | (b << 16) | (g << 8) | r) >>> 0;
const count = grouped;
const manyOf = (word) => (word.endsWith("ch") ? `${word}es` : word.replace(/([^aeiou])y$/, "$1ie") + "s");
const plural = (n, word) => (SPEECH.code === "en" ? `${count(n)} ${n === 1 ? word : manyOf(word)}` : tr(`{n} ${word}`, { n }));

const DAY = 86400000;

// A step of 1, 2 or 5 times a power of ten that cuts a range into about n parts.
function niceStep(range, n) {
  const raw = range / n;
  const power = 10 ** Math.floor(Math.log10(raw));
  return power * ([1, 2, 5, 10].find((each) => each * power >= raw * 0.999) ?? 10);
}

// ---------------------------------------------------------------- two fingers

// Zoom by two fingers: `zoom` hears by how much they spread, the point between them, and how far that point moved. What
// the first finger had begun is given up; one finger that stays down after the other does nothing more.
function pinchable(area, zoom, giveUp) {
  const fingers = new Map();
  let pinching = false;
  const place = (event) => {
    const box = area.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const apart = ([a, b]) => Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1]));
  const middle = ([a, b]) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  const listen = (type, hear) => area.addEventListener(type, (event) => {
    if (event.pointerType === "touch" && hear(event)) event.stopImmediatePropagation();
  }, { capture: true });
  listen("pointerdown", (event) => {
    fingers.set(event.pointerId, place(event));
    if (fingers.size < 2) return false;
    if (!pinching) giveUp();
    pinching = true;
    return true;
  });
  listen("pointermove", (event) => {
    if (!fingers.has(event.pointerId)) return false;
    const before = [...fingers.values()];
    fingers.set(event.pointerId, place(event));
    if (!pinching) return false;
    const now = [...fingers.values()];
    if (now.length === 2) {
      const [from, to] = [middle(before), middle(now)];
      zoom(apart(now) / apart(before), from, [to[0] - from[0], to[1] - from[1]]);
    }
    return true;
  });
  const lift = (event) => {
    if (!fingers.delete(event.pointerId) || !pinching) return false;
    pinching = fingers.size > 0;
    return true;
  };
  listen("pointerup", lift);
  listen("pointercancel", lift);
  // Else the browser scrolls the page with two fingers, and takes the gesture away.
  const keep = (event) => { if (event.touches.length > 1 && event.cancelable) event.preventDefault(); };
  for (const type of ["touchstart", "touchmove"]) area.addEventListener(type, keep, { passive: false });
}

// ---------------------------------------------------------------- canvases

// Pixels are computed here and put on a canvas. One that the browser keeps with its graphics card, or in software that
// plays one, has to be fetched for that: among a million rows the next file took twenty seconds to show, and takes half
// a second from memory.
const IN_MEMORY = { willReadFrequently: true };

// ---------------------------------------------------------------- colours by a column

// Colours of a column: number 0 is for rows without a value. Okabe and Ito's for the largest kinds, but for their yellow,
// which white paper swallows; hues for the others. Each stands out from dark paper, too, and two of them can be told
// apart by who sees no red or no green.
const KINDS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#9c8400", "#a5682a", "#961eff"];
const RAMP = ["#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#fde725"]; // viridis
const STEPS = 60;
const MOST_KINDS = 250;

function hue(k) {
  const turn = (k * 137.508) % 360;
  const part = (n) => {
    const at = (n + turn / 30) % 12;
    return Math.round(255 * (0.58 - 0.24 * Math.max(-1, Math.min(at - 3, 9 - at, 1))));
  };
  return [part(0), part(8), part(4)];
}

function ramp(t) {
  const at = t * (RAMP.length - 1);
  const k = Math.min(RAMP.length - 2, Math.floor(at));
  const [a, b] = [rgba(RAMP[k]), rgba(RAMP[k + 1])];
  return a.map((value, c) => Math.round(value + (at - k) * (b[c] - value)));
}

// Whether values are names of kinds: texts, truth values, few whole numbers, or numbers of clusters.
function areKinds(column) {
  if (column.kind === "text" || column.kind === "bool") return true;
  if (column.kind !== "number" || column.score) return false;
  const seen = new Set();
  for (const value of column.plot) {
    if (Number.isNaN(value)) continue;
    if (!Number.isInteger(value)) return false;
    seen.add(value);
    if (seen.size > 12 && !/cluster|kind|label|class|group/i.test(column.name)) return false;
  }
  return true;
}

// The kinds of a column, the largest first: the number of the kind of every row from 1 on (0: none, and noise of a
// clustering), their names and sizes.
function kindsOf(column, n) {
  const none = (i) => column.kind === "number" && (Number.isNaN(column.plot[i]) || (column.plot[i] === -1 && /cluster/i.test(column.name)));
  const key = (i) => (column.kind === "number" ? column.plot[i] : column.raw[i]);
  const gone = column.kind === "bool" ? 2 : column.kind === "text" ? 0 : NaN;
  const sizes = new Map();
  for (let i = 0; i < n; i++) if (!none(i) && key(i) !== gone) sizes.set(key(i), (sizes.get(key(i)) ?? 0) + 1);
  const ordered = [...sizes.keys()].sort((a, b) => sizes.get(b) - sizes.get(a) || a - b);
  const place = new Map(ordered.map((value, k) => [value, k + 1]));
  const nameOf = (value) => (column.kind === "text" ? column.words[value - 1] : column.kind === "bool" ? (value ? tr("yes") : tr("no")) : String(value));
  return { of: Uint32Array.from({ length: n }, (_, i) => (none(i) ? 0 : place.get(key(i)) ?? 0)),
    names: ordered.map(nameOf), sizes: ordered.map((value) => sizes.get(value)) };
}

// The colours of kinds, the most frequent first.
const kindColour = (k) => (k < KINDS.length ? rgba(KINDS[k]) : hue(k));

// The colour of every row by the kind it is of; the largest kinds get the colours that differ most.
function tintOfKinds(column, n, grey) {
  const kinds = kindsOf(column, n);
  const colours = [grey, ...kinds.names.slice(0, MOST_KINDS).map((_, k) => kindColour(k))];
  const of = Uint8Array.from(kinds.of, (k) => (k ? 1 + ((k - 1) % MOST_KINDS) : 0));
  const legend = kinds.names.slice(0, KINDS.length).map((name, k) => [colours[k + 1], `${name} (${count(kinds.sizes[k])})`]);
  const rest = kinds.names.length - legend.length;
  const missing = of.reduce((sum, value) => sum + (value === 0), 0);
  return { of, colours, legend: [...legend, ...(rest > 0 ? [[null, tr("and {n} more", { n: rest })]] : []),
    ...(missing ? [[grey, tr("none ({n})", { n: missing })]] : [])] };
}

// The colour of every row by a number, evenly between the values that two rows of a hundred lie beyond.
function tintOfNumbers(column, n, grey) {
  const values = column.plot;
  const sorted = Float64Array.from(values.filter((value) => Number.isFinite(value))).sort();
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.round(share * (sorted.length - 1)))];
  const [low, high] = sorted.length ? [at(0.02), at(0.98)] : [0, 1];
  const width = high - low || 1;
  const of = Uint8Array.from({ length: n }, (_, i) => (Number.isNaN(values[i]) ? 0
    : 1 + Math.round((STEPS - 1) * Math.max(0, Math.min(1, (values[i] - low) / width)))));
  const told = (value) => (column.kind === "time" ? iso(value).slice(0, high - low < 2 * 86400000 ? 16 : 10) : brief(value));
  const missing = of.reduce((sum, value) => sum + (value === 0), 0);
  const colours = [grey, ...Array.from({ length: STEPS }, (_, k) => ramp(k / (STEPS - 1)))];
  return { of, colours, ends: sorted.length ? [`${sorted[0] < low ? "≤ " : ""}${told(low)}`, `${sorted.at(-1) > high ? "≥ " : ""}${told(high)}`] : null,
    legend: missing ? [[grey, tr("none ({n})", { n: missing })]] : [] };
}

// A text that a spreadsheet would run as a formula gets a quote in front.
function cell(text) {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

// A text as a file to keep.
function offer(text, name) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

// ---------------------------------------------------------------- what all pages are

function noteFirstPicture() {
  requestAnimationFrame(() => setTimeout(() => {
    window.firstPicture = performance.now();
  }, 0));
}

function markedRows(marks) {
  const rows = [];
  for (let i = 0; i < marks.length; i++) if (marks[i]) rows.push(i);
  return rows;
}

// A page, light or dark. Who inherits has `root` and `recolour`.
class Page {
  isDark() {
    return this.root.dataset.theme ? this.root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }

  turn() {
    this.root.dataset.theme = this.isDark() ? "light" : "dark";
    this.recolour();
  }

  labelled(text, control) {
    return element("label", { class: "gx-choice" }, element("span", { text }), control);
  }
}

// What is wrong with a filter, in the language of the page.
function faultInWords({ text, values, at }) {
  const told = Object.entries(values).map(([name, value]) => [name, name === "kind" || name === "other" || value === "the end" || value === "a time" ? tr(value) : value]);
  return tr("{what} (at character {place})", { what: tr(text, Object.fromEntries(told)), place: String(at + 1) });
}

// A page of rows, which can be filtered and selected. Who inherits has `shown` and `selected`, the box of the filter and
// the line for its errors, `filterColumns`, `selectionChanged`, `setLasso`, `current` and `open`.
class RowPage extends Page {
  soon(act) {
    clearTimeout(this.filterTimer);
    this.filterTimer = setTimeout(act, 250);
  }

  takeFilter(text) {
    clearTimeout(this.filterTimer); // what was typed before does not come after this
    try {
      this.filter = compileFilter(text, this.filterColumns());
      this.filterError.textContent = "";
      this.filterBox.removeAttribute("aria-invalid");
    } catch (error) {
      this.filterError.textContent = error instanceof FilterError ? faultInWords(error) : error.message;
      this.filterBox.setAttribute("aria-invalid", "true");
      return false;
    }
    return true;
  }

  selectWhere(test, { shiftKey = false, altKey = false } = {}) {
    const { selected, shown } = this;
    for (let i = 0; i < selected.length; i++) {
      if (shown[i] && test(i)) selected[i] = altKey ? 0 : 1;
      else if (!shiftKey && !altKey) selected[i] = 0;
    }
    this.selectionChanged();
  }

  setSelected(rows, quiet = false) {
    this.selected.fill(0);
    for (const i of rows) if (i >= 0 && i < this.selected.length) this.selected[i] = 1;
    this.selectionChanged(quiet);
  }

  toggle(i) {
    this.selected[i] ^= 1;
    this.selectionChanged();
  }

  selectedRows() {
    return markedRows(this.selected);
  }

  // Escape ends one thing after the other: the lasso, the open row, the selection.
  watchEscape() {
    this.root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      if (this.lassoing) this.setLasso(false);
      else if (this.current >= 0) this.open(-1);
      else if (this.nSelected) this.setSelected([]);
      else return;
      event.preventDefault();
    });
  }
}
