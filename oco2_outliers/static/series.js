// The page of sensor series: readings and scores of a channel over time, odd stretches by their kind, and a slider for
// alpha. It stands below languages.js and columns.js in one module. Text reaches the document through textContent only.

const [LEFT, RIGHT, LANE, FOOT] = [62, 10, 20, 20]; // pixels around what is drawn; the lane names the kinds
const LIST = 50; // stretches on one page of the list
const MANY_STRETCHES = 400; // in sight
const SMALL = '11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const [SECOND, MINUTE, HOUR] = [1000, 60000, 3600000];
const STEPS_OF_TIME = [SECOND, 5 * SECOND, 15 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR,
  DAY, 2 * DAY, 7 * DAY, 14 * DAY];
// Kinds keep their colour from page to page; one that is not here takes a hue by its place. A text always says the same.
const KIND_COLOURS = { "odd shape": "#d55e00", "odd level": "#b8860b", "odd spread": "#e8590c", "odd steps": "#c2255c", "odd slope": "#a0522d",
  "odd repeats": "#7b6cd9", "flat line": "#009e73", spike: "#cc79a7", "level shift": "#e69f00", gap: "#8c6bb1", missing: "#9c8f6b", jump: "#d6336c",
  rate: "#9775fa", "out of range": "#e03131", drift: "#6a9a1b", noisy: "#1098ad", duplicate: "#868e96",
  irregular: "#748ffc", "odd mixture": "#a61e4d" };
const LOWER = "below the run's alpha";

// A kind in the language of the page; the data and files keep the English one. One that no check here gives stays.
const kindText = (kind) => (kind === LOWER ? tr("below the run's alpha") : tr(kind));

// ---------------------------------------------------------------- what is drawn

// The first place of ascending numbers that is not below a value.
function placeOf(sorted, value, from = 0, to = sorted.length) {
  let [low, high] = [from, to];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

// A line that breaks where a reading is missing or comes too late; a reading alone becomes a dot. Few readings are drawn
// one by one; of many that share a column of pixels, a bar from the lowest to the highest, so that no spike vanishes.
function drawLine(context, channel, y, from, to, axis, toY, dot) {
  if (to - from > 3000) drawBars(context, channel, y, from, to, axis, toY, dot);
  else drawEach(context, channel, y, from, to, axis, toY, dot);
}

function drawEach(context, { x, step }, y, from, to, axis, toY, dot) {
  let [before, alone] = [-1, false];
  const point = (i) => context.fillRect(axis.toX(x[i]) - dot / 2, toY(y[i]) - dot / 2, dot, dot);
  context.beginPath();
  for (let i = from; i < to; i++) {
    const begins = before < 0 || (step > 0 && x[i] - x[before] > 1.5 * step);
    if ((begins || y[i] !== y[i]) && alone) point(before);
    if (y[i] !== y[i]) { // NaN
      [before, alone] = [-1, false];
      continue;
    }
    if (begins) context.moveTo(axis.toX(x[i]), toY(y[i]));
    else context.lineTo(axis.toX(x[i]), toY(y[i]));
    [before, alone] = [i, begins];
  }
  if (alone) point(before);
  context.stroke();
}

function drawBars(context, { x, step }, y, from, to, axis, toY, dot) {
  const wide = context.lineWidth;
  const { origin, scale, left } = axis;
  const most = step > 0 ? 1.5 * step : Infinity;
  let [at, low, high, last, lastMs, until, joined] = [-1, 0, 0, NaN, NaN, -1, false];
  const bar = () => {
    const [top, bottom] = [toY(high), toY(low)];
    const least = joined ? wide : dot;
    context.fillRect(at - (bottom - top < least ? least : wide) / 2, Math.min(top, (top + bottom - least) / 2), bottom - top < least ? least : wide, Math.max(bottom - top, least));
  };
  context.beginPath();
  for (let i = from; i < to; i++) {
    const value = y[i];
    if (value !== value) { // NaN: the line ends here
      last = NaN;
      continue;
    }
    const px = Math.round((x[i] - origin) * scale + left);
    const goesOn = last === last && x[i] - lastMs <= most;
    if (px !== at) {
      if (at >= 0) bar();
      until = at;
      [at, low, high, joined] = [px, value, value, false];
      if (goesOn && px - until > 1) {
        context.moveTo(until, toY(last));
        context.lineTo(px, toY(value));
      }
    }
    if (goesOn) {
      joined = true;
      if (last < low) low = last;
      if (last > high) high = last;
    }
    if (value < low) low = value;
    if (value > high) high = value;
    [last, lastMs] = [value, x[i]];
  }
  if (at >= 0) bar();
  context.stroke();
}

function endsOf(y, from, to) {
  let [low, high] = [Infinity, -Infinity];
  for (let i = from; i < to; i++) {
    const value = y[i];
    if (value < low && value !== -Infinity) low = value;
    if (value > high && value !== Infinity) high = value;
  }
  if (!(low <= high)) return [0, 1];
  const room = low === high ? Math.abs(low) * 0.1 || 1 : 0.06 * (high - low);
  return [low - room, high + room];
}

// Where a moment lies: numbers rather than a function, for a loop over a million readings.
class Axis {
  constructor(from, to, width) {
    [this.origin, this.scale, this.left] = [from, (width - LEFT - RIGHT) / (to - from), LEFT];
  }

  toX(ms) {
    return (ms - this.origin) * this.scale + this.left;
  }
}

// ---------------------------------------------------------------- times as a clock at the place shows them

class Clock {
  constructor(changes, zone) {
    [this.zone, this.from, this.offsets] = [zone, changes.map(([ms]) => ms), changes.map(([, offset]) => offset)];
  }

  offset(ms) {
    return this.offsets[Math.max(0, placeOf(this.from, ms + 0.5) - 1)] ?? 0;
  }

  text(ms, width = 19) {
    return Number.isFinite(ms) ? iso(ms + this.offset(ms)).slice(0, width) : "";
  }

  // Moments between two others at which a mark stands, with its text.
  ticks(from, to, most) {
    const span = to - from;
    const step = STEPS_OF_TIME.find((each) => span / each <= most);
    if (step === undefined) return this.months(from, to, most);
    const found = [];
    const off = this.offset((from + to) / 2);
    for (let local = Math.ceil((from + off) / step) * step; local - off <= to; local += step) {
      const text = iso(local);
      found.push([local - off, step >= DAY || local % DAY === 0 ? text.slice(0, 10) : text.slice(11, step < MINUTE ? 19 : 16)]);
    }
    return found;
  }

  months(from, to, most) {
    const first = new Date(from + this.offset(from));
    const n = (to - from) / (30.44 * DAY);
    const step = [1, 2, 3, 6].find((each) => n / each <= most) ?? 12 * niceStep(n / 12, most);
    const found = [];
    for (let month = Math.ceil((first.getUTCFullYear() * 12 + first.getUTCMonth()) / step) * step; ; month += step) {
      const local = new Date(0);
      local.setUTCFullYear(Math.floor(month / 12), month % 12, 1);
      const ms = Number(local) - this.offset(Number(local));
      if (!(ms <= to)) return found;
      if (ms >= from) found.push([ms, iso(Number(local)).slice(0, 7)]);
    }
  }
}

// ---------------------------------------------------------------- the page

export class SeriesPage extends Page {
  constructor(root, meta, bytes) {
    super();
    [this.root, this.meta] = [root, meta];
    this.clock = new Clock(meta.clock, meta.zone);
    this.unpack(bytes);
    [this.alpha, this.k, this.everywhere, this.page, this.current] = [meta.alpha, 0, false, 0, null];
    this.hidden = new Set();
    this.build();
    this.readColours();
    this.choose();
    this.setChannel(0);
    this.watch();
  }

  unpack(bytes) {
    const columnsOf = (infos) => Object.fromEntries(infos.map((info) => [info.name, new Column(info, bytes)]));
    const points = columnsOf(this.meta.points);
    const { base, unit } = this.meta.times;
    const times = Float64Array.from(points.time.raw, (value) => base + value * unit);
    this.channels = this.meta.channels.map((told) => {
      const part = (name) => points[name]?.plot.subarray(told.from, told.from + told.n);
      return { ...told, x: times.subarray(told.from, told.from + told.n), y: part("value"), score: part("score"), p: part("p_value"), odd: part("outlier") };
    });
    const w = columnsOf(this.meta.windows);
    const n = this.meta.n_windows;
    const number = (name, i) => (w[name] ? w[name].plot[i] : NaN);
    this.named = Array.from({ length: n }, (_, i) => ({ named: true, k: w.place.plot[i], start: w.start.plot[i], end: w.end.plot[i], kind: w.kind.text(i), reason: w.reason.text(i), said: w.reason.shown(i),
      score: number("score", i), p: number("p_value", i), texts: { start: w.start_text.text(i), end: w.end_text.text(i), score: w.score?.text(i) ?? "",
        p_value: w.p_value?.text(i) ?? "", source: w.source?.text(i) ?? "" } }));
    for (const each of this.named) each.byScore = each.kind.startsWith("odd ");
    const told = [...new Set(this.named.map((each) => each.kind))];
    const others = told.filter((kind) => !Object.hasOwn(KIND_COLOURS, kind)).sort();
    const ordered = [...Object.keys(KIND_COLOURS).filter((kind) => told.includes(kind)), ...others];
    this.kinds = new Map(ordered.map((kind) => [kind, Object.hasOwn(KIND_COLOURS, kind) ? KIND_COLOURS[kind] : `rgb(${hue(others.indexOf(kind)).join()})`]));
    this.kinds.set(LOWER, "#7d8894");
  }

  // ------------------------------------------------ which stretches are shown

  hasP() {
    return this.channels.some((each) => each.p && each.p.some((value) => value === value));
  }

  // The largest p that is odd: where alpha counts false alarms a month, the chance of at least one in a month.
  limit() {
    return this.meta.is_rate ? -Math.expm1(-this.alpha) : this.alpha;
  }

  // Readings that the run let pass, and that a larger alpha would not: they have no reason, for none was sought.
  unnamed(limit) {
    const found = [];
    if (!(this.alpha > this.meta.alpha)) return found;
    this.channels.forEach((channel, k) => {
      if (!channel.p) return;
      const own = this.named.filter((each) => each.k === k).sort((a, b) => a.start - b.start);
      let [next, until, open] = [0, -Infinity, null];
      for (let i = 0; i < channel.n; i++) {
        const ms = channel.x[i];
        while (next < own.length && own[next].start <= ms) until = Math.max(until, own[next++].end);
        if (!(channel.p[i] <= limit) || channel.odd[i] || ms <= until) {
          open = null;
          continue;
        }
        if (!open || (channel.step && ms - open.end > 1.5 * channel.step)) found.push(open = { k, start: ms, end: ms, kind: LOWER, score: -Infinity, p: Infinity, n: 0 });
        open.end = ms;
        open.n += 1;
        open.score = Math.max(open.score, channel.score?.[i] ?? NaN);
        open.p = Math.min(open.p, channel.p[i]);
      }
    });
    return found;
  }

  textsOf(each) {
    each.texts ??= { start: this.clock.text(each.start), end: this.clock.text(each.end), score: Number.isNaN(each.score) ? "" : shortest(each.score), p_value: shortest(each.p), source: "" };
    return each.texts;
  }

  // When a stretch is, as short as it can be said.
  when(each) {
    const width = each.start % MINUTE || each.end % MINUTE ? 19 : 16;
    const [start, end] = [this.clock.text(each.start, width), this.clock.text(each.end, width)];
    return start === end ? start : `${start} – ${start.slice(0, 10) === end.slice(0, 10) ? end.slice(11) : end}`;
  }

  // Why it is listed, as it is shown, without the kind that stands before it.
  why(each) {
    each.said ??= tr("{rows} with p up to this alpha; the run, with {alpha}, let them pass and sought no reason", { rows: plural(each.n, "reading"), alpha: shortest(this.meta.alpha) });
    const kind = tr("{kind}: {why}", { kind: kindText(each.kind), why: "" });
    return each.said.startsWith(kind) ? each.said.slice(kind.length) : each.said;
  }

  // The same as files have it: in English, whatever the page speaks.
  reasonOf(each) {
    const many = `${each.n?.toLocaleString("en-US")} reading${each.n === 1 ? "" : "s"}`;
    return each.reason ?? `${many} with p up to this alpha; the run, with ${shortest(this.meta.alpha)}, let them pass and sought no reason`;
  }

  choose() {
    // At the alpha of the run its own verdict stands, whatever rounding did to p; what a check found stands at any alpha.
    const limit = this.limit();
    const every = [...this.named.filter((each) => this.alpha === this.meta.alpha || !each.byScore || !(each.p > limit)), ...this.unnamed(limit)];
    this.counts = new Map([...this.kinds.keys()].map((kind) => [kind, 0]));
    for (const each of every) this.counts.set(each.kind, this.counts.get(each.kind) + 1);
    this.shown = every.filter((each) => !this.hidden.has(each.kind)).sort((a, b) => a.k - b.k || a.start - b.start || a.end - b.end);
    this.here = this.shown.filter((each) => each.k === this.k);
    if (this.current && !this.shown.includes(this.current)) this.current = null;
  }

  listed() {
    return this.everywhere ? this.shown : this.here;
  }

  // The score from which readings are odd at this alpha: that of the least odd reading among them.
  threshold() {
    const { p, score, threshold } = this.channels[this.k];
    if (!p || !score || this.alpha === this.meta.alpha) return threshold ?? NaN;
    const limit = this.limit();
    let least = Infinity;
    for (let i = 0; i < p.length; i++) if (p[i] <= limit && score[i] < least) least = score[i];
    return least < Infinity ? least : NaN;
  }

  setAlpha(alpha) {
    if (!(alpha >= 0)) return;
    this.alpha = alpha;
    this.alphaBox.value = String(alpha);
    if (this.alphaSlider) this.alphaSlider.value = String(this.toSlider(alpha));
    this.changed();
  }

  setKind(kind, on) {
    if (on) this.hidden.delete(kind);
    else this.hidden.add(kind);
    this.changed();
  }

  changed() {
    this.choose();
    this.page = 0;
    this.fill();
    this.draw();
  }

  setChannel(k, view = null) {
    this.k = k;
    const { x, n } = this.channels[k];
    const [first, last] = n ? [x[0], x[n - 1]] : [0, 1];
    const room = 0.01 * (last - first) || this.channels[k].step || 1;
    this.whole = [first - room, last + room];
    this.view = view ?? [...this.whole];
    this.siteChoice.value = this.channels[k].site;
    this.fillChannels();
    this.choose();
    this.page = 0;
    this.fill();
    this.draw();
  }

  // ------------------------------------------------ moving

  look(from, to) {
    const { step } = this.channels[this.k];
    const least = Math.max(3 * (step || 0), 10);
    const most = this.whole[1] - this.whole[0];
    const span = Math.min(Math.max(to - from, Math.min(least, most)), most);
    const start = Math.min(Math.max((from + to - span) / 2, this.whole[0]), this.whole[1] - span);
    this.view = [start, start + span];
    this.draw();
  }

  zoom(factor, at = (this.view[0] + this.view[1]) / 2) {
    const [from, to] = this.view;
    this.look(at - (at - from) * factor, at + (to - at) * factor);
  }

  pan(share) {
    const by = share * (this.view[1] - this.view[0]);
    const [from, to] = this.view;
    const kept = Math.max(this.whole[0] - from, Math.min(by, this.whole[1] - to));
    this.look(from + kept, to + kept);
  }

  open(stretch) {
    this.current = stretch;
    if (stretch.k !== this.k) {
      this.setChannel(stretch.k);
      this.current = stretch;
    }
    const { step } = this.channels[stretch.k];
    const room = Math.max(1.5 * (stretch.end - stretch.start), 12 * (step || (this.whole[1] - this.whole[0]) / 200));
    this.look(stretch.start - room, stretch.end + room);
    this.page = Math.floor(this.listed().indexOf(stretch) / LIST);
    this.fill();
    this.tip.textContent = this.sentence(stretch);
  }

  step(by) {
    const all = this.listed();
    if (!all.length) return;
    const at = all.indexOf(this.current);
    const middle = (this.view[0] + this.view[1]) / 2;
    const near = by > 0 ? all.findIndex((each) => each.k === this.k && each.start >= middle) : all.findLastIndex((each) => each.k === this.k && each.end <= middle);
    const next = at >= 0 ? (at + by + all.length) % all.length : near >= 0 ? near : by > 0 ? 0 : all.length - 1;
    this.open(all[next]);
  }

  sentence(each) {
    return tr("{kind}, {time}: {why}", { kind: kindText(each.kind), time: this.when(each), why: this.why(each) });
  }

  // ------------------------------------------------ the document

  build() {
    const { meta } = this;
    this.root.className = "ox sx";
    const theme = element("button", { type: "button", class: "ox-button", text: tr("Light / dark"), onclick: () => this.turn() });
    this.plot = element("canvas", { class: "sx-plot", tabindex: "0", role: "img", "aria-label": tr("Readings over time. Keys: left and right move, + and - zoom, 0 shows all, n and p go to the next and the previous odd stretch.") });
    this.scores = element("canvas", { class: "sx-scores", role: "img", "aria-label": tr("Scores over time, with the threshold") });
    this.strip = element("canvas", { class: "sx-strip", role: "img", "aria-label": tr("The whole channel; a click goes there") });
    this.caption = element("p", { class: "ox-sub" });
    this.tip = element("div", { class: "ox-tip", "aria-live": "polite" });
    this.legend = element("div", { class: "ox-legend" });
    this.list = element("ol", { class: "sx-list" });
    this.pager = element("div", { class: "ox-pager" });
    this.heading = element("h2");
    this.root.append(
      element("header", { class: "ox-top" }, element("div", {}, element("h1", { text: meta.title }), element("p", { class: "ox-sub", text: meta.subtitle })), theme),
      this.buildControls(),
      element("div", { class: "sx-main" },
        element("section", { class: "ox-panel" }, this.buildTools(), this.plot, this.scores, this.strip, this.tip, this.legend),
        element("section", { class: "ox-panel", "aria-label": tr("Odd stretches") }, this.heading, this.buildScope(), this.list, this.pager)),
      this.buildHelp(), element("footer", { class: "ox-notes" }, ...meta.notes.map((text) => element("p", { text }))));
    this.listen();
  }

  buildControls() {
    const sites = [...new Set(this.channels.map((each) => each.site))];
    this.siteChoice = choice(tr("Site"), sites.map((name) => ({ name, label: name })), sites[0], (site) => this.setChannel(this.channels.findIndex((each) => each.site === site)));
    this.channelChoice = element("select", { "aria-label": tr("Channel") });
    this.channelChoice.addEventListener("change", () => this.setChannel(Number(this.channelChoice.value)));
    const labelled = (text, control) => element("label", { class: "sx-choice" }, element("span", { text }), control);
    this.counted = element("output", { class: "ox-count", "aria-live": "polite" });
    this.exportButton = element("button", { type: "button", class: "ox-button", onclick: () => offer(this.csv(), "odd_stretches.csv") });
    return element("div", { class: "ox-controls sx-controls" },
      element("div", { class: "sx-choices" }, labelled(tr("Site"), this.siteChoice), labelled(tr("Channel"), this.channelChoice), this.buildAlpha(), this.exportButton), this.counted);
  }

  fillChannels() {
    const site = this.channels[this.k].site;
    const own = this.channels.map((each, k) => [each, k]).filter(([each]) => each.site === site);
    this.channelChoice.replaceChildren(...own.map(([each, k]) => element("option", { value: String(k), text: each.channel })));
    this.channelChoice.value = String(this.k);
  }

  // The slider is even in the logarithm: from the smallest p of all readings to 1, or to 30 where alpha is a rate.
  buildAlpha() {
    this.alphaBox = element("input", { type: "number", min: "0", step: "any", value: String(this.alpha), "aria-label": "alpha" });
    this.alphaBox.addEventListener("change", () => this.setAlpha(this.alphaBox.value === "" ? NaN : Number(this.alphaBox.value)));
    const box = element("label", { class: "sx-choice" }, element("span", { text: this.meta.alpha_words }), this.alphaBox);
    if (!this.hasP()) {
      this.alphaBox.disabled = true;
      return element("div", { class: "sx-alpha" }, box, element("span", { class: "ox-sub", text: tr("no p-values, so no slider") }));
    }
    let least = Infinity;
    for (const { p } of this.channels) for (const value of p) if (value > 0 && value < least) least = value;
    for (const { p } of this.named) if (p > 0 && p < least) least = p;
    const ends = [Math.log10(Math.min(least, this.alpha || 1)) - 0.02, Math.log10(Math.max(this.meta.is_rate ? 30 : 1, this.alpha))];
    this.toSlider = (alpha) => Math.round((1000 * (Math.log10(Math.max(alpha, 1e-300)) - ends[0])) / (ends[1] - ends[0]));
    this.alphaSlider = element("input", { type: "range", min: "0", max: "1000", value: String(this.toSlider(this.alpha)), "aria-label": tr("alpha, as a slider") });
    this.alphaSlider.addEventListener("input", () => this.setAlpha(Number((10 ** (ends[0] + (Number(this.alphaSlider.value) / 1000) * (ends[1] - ends[0]))).toPrecision(3))));
    const back = element("button", { type: "button", class: "ox-button", text: tr("As in the run"), onclick: () => this.setAlpha(this.meta.alpha) });
    return element("div", { class: "sx-alpha" }, box, this.alphaSlider, back);
  }

  buildTools() {
    const tool = (text, label, act) => element("button", { type: "button", class: "ox-tool", text, "aria-label": label, title: label, onclick: act });
    return element("div", { class: "ox-head" }, this.caption, element("div", { class: "ox-tools sx-tools" },
      tool("‹", tr("previous odd stretch (p)"), () => this.step(-1)), tool("›", tr("next odd stretch (n)"), () => this.step(1)),
      tool("+", tr("zoom in (+)"), () => this.zoom(0.5)), tool("−", tr("zoom out (-)"), () => this.zoom(2)), tool(tr("all"), tr("whole channel (0)"), () => this.look(...this.whole))));
  }

  buildScope() {
    const box = element("input", { type: "checkbox" });
    box.addEventListener("change", () => this.setEverywhere(box.checked));
    return this.channels.length > 1 ? element("label", { class: "ox-item" }, box, tr("of all sites and channels")) : null;
  }

  setEverywhere(on) {
    this.everywhere = on;
    this.page = 0;
    this.fill();
  }

  buildHelp() {
    const lines = [tr("Drag to move, turn the wheel to zoom, click the strip at the bottom to go there. Keys: left and right move, + and - zoom, 0 shows the whole channel, n and p open the next and the previous odd stretch."),
      tr("Where many readings share a pixel, the line goes from their lowest to their highest, so no spike is lost. A line that stops is a gap or a missing reading; a reading alone is a dot."),
      tr("Stretches that the score found (odd shape, odd level ...) are shown as long as alpha allows it; what a check found (a gap, a flat line) is shown at any alpha. Below the readings stands the score, higher is odder, with the threshold that belongs to alpha."),
      tr("With alpha above that of the run, readings appear that the run let pass: they are grey, and no reason was sought for them.")];
    return element("details", { class: "ox-panel sx-help" }, element("summary", { text: tr("Help") }), ...lines.map((text) => element("p", { text })));
  }

  swatch(kind) {
    const made = element("span", { class: "ox-swatch sx-swatch" });
    made.style.background = this.kinds.get(kind);
    return made;
  }

  fill() {
    const all = this.listed();
    const where = this.everywhere ? tr("all channels") : this.channels[this.k].channel;
    this.heading.textContent = tr("{rows} of {where}", { rows: plural(all.length, "odd stretch"), where });
    const told = { n_shown: this.shown.length, rows: plural(this.named.length, "stretch") };
    const more = this.shown.some((each) => each.kind === LOWER);
    const here = this.channels.length > 1 ? tr(", {n} here", { n: this.here.length }) : "";
    this.counted.textContent = (more ? tr("{n_shown}, more than the run found: of {rows} of the run shown", told) : tr("{n_shown} of {rows} of the run shown", told)) + here;
    this.exportButton.textContent = tr("Export CSV ({n})", { n: all.length });
    this.exportButton.disabled = !all.length;
    const pages = Math.max(1, Math.ceil(all.length / LIST));
    this.page = Math.min(Math.max(this.page, 0), pages - 1);
    const focused = this.list.contains(document.activeElement);
    this.list.replaceChildren(...all.slice(this.page * LIST, (this.page + 1) * LIST).map((each) => this.entry(each)));
    const turn = (text, by) => element("button", { type: "button", class: "ox-button", text, disabled: this.page + by < 0 || this.page + by >= pages, onclick: () => {
      this.page += by;
      this.fill();
    } });
    this.pager.replaceChildren(...(pages > 1 ? [turn(tr("Earlier"), -1), element("span", { text: tr("page {k} of {n}", { k: this.page + 1, n: pages }) }), turn(tr("Later"), 1)] : []));
    const open = this.list.querySelector('[aria-current="true"]');
    if (open && focused) open.focus({ preventScroll: true });
    if (open) this.list.scrollTop = open.offsetTop - this.list.offsetTop - 60;
    this.fillLegend();
  }

  entry(each) {
    const { site, channel } = this.channels[each.k];
    const judged = each.byScore !== false; // a check has no score, and no p
    const numbers = [this.everywhere ? `${site}, ${channel}` : "", judged && !Number.isNaN(each.score) ? tr("score {value}", { value: brief(each.score) }) : "",
      judged && !Number.isNaN(each.p) ? `p ${brief(each.p)}` : ""].filter(Boolean);
    return element("li", {}, element("button", { type: "button", class: "sx-entry", "aria-current": each === this.current ? "true" : null, onclick: () => this.open(each) },
      element("span", { class: "sx-first" }, this.swatch(each.kind), element("b", { text: kindText(each.kind) }), element("span", { text: this.when(each) })),
      element("span", { text: this.why(each) }), numbers.length ? element("span", { class: "ox-sub", text: numbers.join(", ") }) : null));
  }

  fillLegend() {
    this.legend.replaceChildren(...[...this.kinds.keys()].filter((kind) => kind !== LOWER || this.counts.get(kind) || this.hidden.has(kind)).map((kind) => {
      const box = element("input", { type: "checkbox" });
      box.checked = !this.hidden.has(kind);
      box.addEventListener("change", () => this.setKind(kind, box.checked));
      return element("label", { class: "ox-item" }, box, this.swatch(kind), `${kindText(kind)} (${count(this.counts.get(kind))})`);
    }));
  }

  csv() {
    const lines = [["site", "channel", "kind", "start", "end", "score", "p_value", "reason", "source", "alpha"].join(",")];
    for (const each of this.listed()) {
      const { site, channel } = this.channels[each.k];
      const { start, end, score, p_value, source } = this.textsOf(each);
      lines.push([cell(site), cell(channel), cell(each.kind), start, end, score, p_value, cell(this.reasonOf(each)), cell(source), shortest(this.alpha)].join(","));
    }
    return `${lines.join("\r\n")}\r\n`;
  }

  // ------------------------------------------------ hands

  listen() {
    document.addEventListener("keydown", (event) => this.key(event));
    for (const canvas of [this.plot, this.scores]) this.listenTo(canvas);
    const go = (event) => {
      const [from, to] = this.whole;
      const at = from + ((event.offsetX - LEFT) / (this.strip.clientWidth - LEFT - RIGHT)) * (to - from);
      const half = (this.view[1] - this.view[0]) / 2;
      if (half < (to - from) / 2.01) this.look(at - half, at + half);
      else this.look(at - (to - from) / 40, at + (to - from) / 40);
    };
    this.strip.addEventListener("pointerdown", (event) => {
      this.strip.setPointerCapture(event.pointerId);
      go(event);
    });
    this.strip.addEventListener("pointermove", (event) => event.buttons && go(event));
  }

  listenTo(canvas) {
    const at = (event) => this.view[0] + ((event.offsetX - LEFT) / (canvas.clientWidth - LEFT - RIGHT)) * (this.view[1] - this.view[0]);
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.pan(event.deltaX / 800);
      else this.zoom(2 ** (Math.max(-120, Math.min(120, event.deltaY)) / 160), at(event));
    }, { passive: false });
    let held = null;
    pinchable(canvas, (factor, [x], [dx]) => {
      this.zoom(1 / factor, at({ offsetX: x }));
      this.pan(-dx / (canvas.clientWidth - LEFT - RIGHT));
    }, () => { held = null; });
    canvas.addEventListener("pointerdown", (event) => {
      held = { x: event.clientX, view: [...this.view], moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!held) return this.say(at(event));
      const by = ((held.x - event.clientX) / (canvas.clientWidth - LEFT - RIGHT)) * (held.view[1] - held.view[0]);
      held.moved ||= Math.abs(held.x - event.clientX) > 3;
      if (held.moved) {
        const kept = Math.max(this.whole[0] - held.view[0], Math.min(by, this.whole[1] - held.view[1]));
        this.look(held.view[0] + kept, held.view[1] + kept);
      }
      return undefined;
    });
    const drop = (event) => {
      if (held && !held.moved && event.type === "pointerup") this.pick(at(event));
      held = null;
    };
    canvas.addEventListener("pointerup", drop);
    canvas.addEventListener("pointercancel", drop);
    canvas.addEventListener("dblclick", () => this.look(...this.whole));
  }

  // A click on a stretch opens it in the list; it does not move what is seen.
  pick(ms) {
    const slack = (4 * (this.view[1] - this.view[0])) / this.plot.clientWidth;
    const hit = this.here.filter((each) => each.start - slack <= ms && ms <= each.end + slack).sort((a, b) => a.end - a.start - (b.end - b.start))[0];
    if (!hit) return;
    this.current = hit;
    this.page = Math.floor(this.listed().indexOf(hit) / LIST);
    this.fill();
    this.draw();
    this.tip.textContent = this.sentence(hit);
  }

  say(ms) {
    const { x, y, score, p, n } = this.channels[this.k];
    let i = placeOf(x, ms);
    if (i > 0 && (i === n || ms - x[i - 1] < x[i] - ms)) i -= 1;
    if (i >= n) return;
    const over = this.here.find((each) => each.start <= x[i] && x[i] <= each.end);
    const numbers = [score && !Number.isNaN(score[i]) ? tr("score {value}", { value: brief(score[i]) }) : tr("no score"), p && !Number.isNaN(p[i]) ? `p ${brief(p[i])}` : ""].filter(Boolean).join(", ");
    const told = { time: this.clock.text(x[i]), value: Number.isNaN(y[i]) ? tr("missing") : brief(y[i]), numbers };
    const said = tr("{time}: {value}; {numbers}", told);
    this.tip.textContent = over ? tr("{told}; {kind}: {why}", { told: said, kind: kindText(over.kind), why: this.why(over) }) : said;
  }

  key(event) {
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = { n: () => this.step(1), p: () => this.step(-1), ArrowLeft: () => this.pan(-0.2), ArrowRight: () => this.pan(0.2), "+": () => this.zoom(0.5), "=": () => this.zoom(0.5),
      "-": () => this.zoom(2), 0: () => this.look(...this.whole), Home: () => this.look(...this.whole) };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }

  // ------------------------------------------------ drawing

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paint();
    });
  }

  paint() {
    const [from, to] = this.view;
    this.caption.textContent = tr("{from} to {to}", { from: this.clock.text(from, 16), to: this.clock.text(to, 16) }) + (this.clock.zone ? ` (${this.clock.zone})` : "");
    const channel = this.channels[this.k];
    const seen = [Math.max(0, placeOf(channel.x, from) - 1), Math.min(channel.n, placeOf(channel.x, to) + 1)];
    this.paintPlot(this.plot, channel, channel.y, seen, LANE);
    this.scores.hidden = !channel.score;
    if (channel.score) this.paintPlot(this.scores, channel, channel.score, seen, 6);
    this.paintStrip(channel);
  }

  fresh(canvas) {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const [w, h] = [canvas.clientWidth, canvas.clientHeight];
    [canvas.width, canvas.height] = [Math.round(w * ratio), Math.round(h * ratio)];
    // Drawn by the processor: a card that is imitated in software takes longer for thousands of bars.
    const context = canvas.getContext("2d", IN_MEMORY);
    context.scale(ratio, ratio);
    context.lineJoin = "round";
    context.font = SMALL;
    return { context, w, h };
  }

  // Readings, or their scores: bands of odd stretches, axes, the line, and the line again where it is odd.
  paintPlot(canvas, channel, y, [first, last], top) {
    const { context, w, h } = this.fresh(canvas);
    const [from, to] = this.view;
    const ends = endsOf(y, first, last);
    const isScore = y === channel.score;
    const limit = isScore ? this.threshold() : NaN;
    if (Number.isFinite(limit)) ends[1] = Math.max(ends[1], limit + 0.06 * (limit - ends[0]));
    const axis = new Axis(from, to, w);
    const toX = (ms) => axis.toX(ms);
    const toY = (value) => top + ((ends[1] - value) / (ends[1] - ends[0])) * (h - top - FOOT);
    const stretches = this.here.filter((each) => each.end >= from && each.start <= to);
    this.paintAxes(context, w, h, top, ends, toX, toY);
    context.save();
    context.beginPath();
    context.rect(LEFT, 0, w - LEFT - RIGHT, h - FOOT);
    context.clip();
    this.paintBands(context, stretches, toX, top, h - FOOT, isScore);
    [context.strokeStyle, context.fillStyle, context.lineWidth] = [this.colours["--line-of"], this.colours["--line-of"], 1.2];
    drawLine(context, channel, y, first, last, axis, toY, 3);
    if (!isScore) this.paintOdd(context, channel, stretches, axis, toY);
    if (Number.isFinite(limit)) this.paintLimit(context, limit, w, toY);
    context.restore();
    context.fillStyle = this.colours["--ink2"];
    context.textAlign = "left";
    context.fillText(isScore ? tr("score") : channel.channel.slice(0, 60), 2, 12);
  }

  // The readings of odd stretches in the colour of their kind. Thousands of them become bars, which are quick to draw.
  paintOdd(context, channel, stretches, axis, toY) {
    const { x, y } = channel;
    let kind = null;
    for (const each of stretches) {
      const [from, to] = [placeOf(x, each.start), placeOf(x, each.end + 0.5)];
      if (each.kind !== kind) context.strokeStyle = context.fillStyle = this.kinds.get(kind = each.kind);
      context.lineWidth = each === this.current ? 3 : 2;
      if (stretches.length < MANY_STRETCHES) drawLine(context, channel, y, from, to, axis, toY, 6);
      else {
        let [low, high] = [Infinity, -Infinity];
        for (let i = from; i < to; i++) {
          if (y[i] < low) low = y[i];
          if (y[i] > high) high = y[i];
        }
        if (low <= high) context.fillRect(axis.toX(each.start) - 1.5, toY(high) - 1.5, Math.max(3, axis.toX(each.end) - axis.toX(each.start)), toY(low) - toY(high) + 3);
      }
    }
  }

  paintLimit(context, limit, w, toY) {
    context.setLineDash([6, 4]);
    [context.strokeStyle, context.lineWidth] = [this.colours["--odd"], 1.5];
    context.beginPath();
    context.moveTo(LEFT, toY(limit));
    context.lineTo(w - RIGHT, toY(limit));
    context.stroke();
    context.setLineDash([]);
    context.fillStyle = this.colours["--odd"];
    context.textAlign = "right";
    [context.strokeStyle, context.lineWidth] = [this.colours["--paper"], 3]; // it stays legible across a line
    for (const draw of ["strokeText", "fillText"]) context[draw](tr("threshold {value}", { value: brief(limit) }), w - RIGHT - 4, toY(limit) - 4);
  }

  paintAxes(context, w, h, top, ends, toX, toY) {
    const { colours } = this;
    [context.strokeStyle, context.fillStyle, context.lineWidth] = [colours["--grid"], colours["--ink2"], 1];
    const step = niceStep(ends[1] - ends[0], Math.max(2, (h - top - FOOT) / 45));
    context.textAlign = "right";
    context.beginPath();
    for (let value = Math.ceil(ends[0] / step) * step; value <= ends[1]; value += step) {
      const y = Math.round(toY(value)) + 0.5;
      context.moveTo(LEFT, y);
      context.lineTo(w - RIGHT, y);
      context.fillText(brief(Math.abs(value) < step / 1e6 ? 0 : value), LEFT - 5, y + 4);
    }
    context.textAlign = "center";
    let free = 0;
    for (const [ms, text] of this.clock.ticks(...this.view, (w - LEFT - RIGHT) / 92)) {
      const x = Math.round(toX(ms)) + 0.5;
      context.moveTo(x, top);
      context.lineTo(x, h - FOOT);
      const half = context.measureText(text).width / 2;
      const middle = Math.max(half, Math.min(w - half, x)); // the last one ends with the picture
      if (middle - half < free) continue;
      context.fillText(text, middle, h - 6);
      free = middle + half + 8;
    }
    context.stroke();
  }

  // A band for each odd stretch, and in the lane above it the name of its kind, where there is room for it.
  paintBands(context, stretches, toX, top, bottom, bare) {
    let free = LEFT;
    const drawn = new Map(); // how far bands of a kind reach: a second one on the same pixels shows nothing new
    for (const each of stretches) {
      const [a, b] = [toX(each.start), toX(each.end)];
      if (each !== this.current && b < (drawn.get(each.kind) ?? -1)) continue;
      drawn.set(each.kind, Math.max(b, a + 1));
      const left = Math.min(a, (a + b) / 2 - 1.5);
      const width = Math.max(3, b - a);
      context.fillStyle = this.kinds.get(each.kind);
      context.globalAlpha = each === this.current ? 0.34 : 0.17;
      context.fillRect(left, top, width, bottom - top);
      context.globalAlpha = 1;
      if (bare) continue;
      context.fillRect(left, top - 4, width, 4);
      const text = kindText(each.kind);
      const from = Math.max(left, LEFT);
      if (from < free) continue;
      const wide = this.widthOf(context, text);
      if (from + wide > this.plot.clientWidth - RIGHT) continue;
      context.fillStyle = this.colours["--ink"];
      context.textAlign = "left";
      context.fillText(text, from, top - 8);
      free = from + wide + 8;
    }
  }

  widthOf(context, text) {
    this.widths ??= new Map();
    if (!this.widths.has(text)) this.widths.set(text, context.measureText(text).width);
    return this.widths.get(text);
  }

  // The whole channel, small, with every odd stretch; what is seen above lies in the frame.
  paintStrip(channel) {
    const { context, w, h } = this.fresh(this.strip);
    const [from, to] = this.whole;
    const axis = new Axis(from, to, w);
    const toX = (ms) => axis.toX(ms);
    const ends = endsOf(channel.y, 0, channel.n);
    const toY = (value) => 5 + ((ends[1] - value) / (ends[1] - ends[0])) * (h - 10);
    context.globalAlpha = 0.5;
    const drawn = new Map();
    for (const each of this.here) {
      if (toX(each.end) < (drawn.get(each.kind) ?? -1)) continue;
      drawn.set(each.kind, Math.max(toX(each.end), toX(each.start) + 1));
      context.fillStyle = this.kinds.get(each.kind);
      context.fillRect(toX(each.start) - 1, 0, Math.max(2, toX(each.end) - toX(each.start)), h);
    }
    context.globalAlpha = 1;
    [context.strokeStyle, context.fillStyle, context.lineWidth] = [this.colours["--ink2"], this.colours["--ink2"], 1];
    drawLine(context, channel, channel.y, 0, channel.n, axis, toY, 1);
    const [a, b] = this.view.map(toX);
    [context.strokeStyle, context.lineWidth] = [this.colours["--focus"], 2];
    context.strokeRect(Math.min(a, w - 6), 1, Math.max(5, b - a), h - 2);
  }

  // ------------------------------------------------ looks

  recolour() {
    this.readColours();
    this.draw();
  }

  readColours() {
    const computed = getComputedStyle(this.root);
    const names = ["--ink", "--ink2", "--paper", "--grid", "--odd", "--focus", "--line-of"];
    this.colours = Object.fromEntries(names.map((name) => [name, computed.getPropertyValue(name).trim()]));
  }

  watch() {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
    new ResizeObserver(() => this.draw()).observe(this.plot);
  }
}

// ---------------------------------------------------------------- the page that `explore` writes

async function startSeries() {
  const place = document.getElementById("series");
  try {
    const meta = JSON.parse(document.getElementById("series-meta").textContent);
    speak(meta.language);
    const bytes = await decode(document.getElementById("series-data").textContent);
    document.getElementById("series-data").remove();
    place.replaceChildren();
    window.series = new SeriesPage(place, meta, bytes);
    noteFirstPicture();
  } catch (error) {
    place.textContent = tr("The page could not start: {why}", { why: error.message });
    throw error;
  }
}

if (typeof document !== "undefined" && document.getElementById("series-data")) startSeries();
