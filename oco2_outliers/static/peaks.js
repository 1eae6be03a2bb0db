// The track of a peak: its soundings, the fit with its band, the false-alarm level and the wind. It stands below uPlot
// and columns.js in one module. Text reaches the document through textContent only.

const MOST_FIGURES = 4;
const ROOT_2PI = Math.sqrt(2 * Math.PI);
const HALF = [];  // places of the upper half of a 5 by 5 matrix, row by row
for (let i = 0; i < 5; i++) for (let j = i; j < 5; j++) HALF.push([i, j]);

// What the page knows of one peak; null where it has no fit.
export class PeakFit {
  constructor(info, bytes, i) {
    const { fit, band, alarm, wind, points } = info;
    [this.slope, this.intercept, this.amplitude, this.sigma] = fit.subarray(4 * i, 4 * i + 4);
    this.half = band.subarray(15 * i, 15 * i + 15);
    this.alarm = alarm[i];
    [this.u, this.v, this.heading] = wind.subarray(3 * i, 3 * i + 3);
    const [from, to] = points ? points.starts.subarray(i, i + 2) : [0, 0];
    [this.x, this.y] = points ? [points.x.subarray(from, to), points.y.subarray(from, to)] : [[], []];
    this.known = [this.slope, this.intercept, this.amplitude, this.sigma].every(Number.isFinite) && this.sigma !== 0;
  }

  get height() {
    return this.amplitude / (this.sigma * ROOT_2PI);
  }

  background(x) {
    return this.slope * x + this.intercept;
  }

  curve(x) {
    return this.background(x) + this.height * Math.exp(-0.5 * (x / this.sigma) ** 2);
  }

  // 1-sigma error of the curve: its derivatives by the parameters on both sides of their covariance, as in the plots.
  error(x) {
    const { amplitude, sigma, slope } = this;
    const bell = Math.exp(-0.5 * (x / sigma) ** 2) / (sigma * ROOT_2PI);
    const d = [x, 1, bell, (amplitude * bell * ((x / sigma) ** 2 - 1)) / sigma, (amplitude * bell * x) / sigma ** 2 - slope];
    let sum = 0;
    HALF.forEach(([i, j], k) => { sum += (i === j ? 1 : 2) * d[i] * d[j] * this.half[k]; });
    return Math.sqrt(Math.max(sum, 0));
  }

  get hasBand() {
    return !Number.isNaN(this.half[0]);
  }

  get speed() {
    return Math.hypot(this.u, this.v);
  }

  // Where the wind comes from, in degrees clockwise from north.
  get from() {
    return ((Math.atan2(-this.u, -this.v) * 180) / Math.PI + 360) % 360;
  }

  // The part of the wind that blows across the track.
  get across() {
    const turn = (this.heading * Math.PI) / 180;
    return Math.abs(this.u * Math.cos(turn) - this.v * Math.sin(turn));
  }

  // Values that a single bad sounding does not set, with room above and below.
  span(reach) {
    const sorted = Float64Array.from(this.y).sort();
    const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
    const ends = [-reach, 0, reach];
    const lines = this.known ? [...ends.map((x) => this.background(x)), this.curve(0),
      ...(Number.isNaN(this.alarm) ? [] : ends.map((x) => this.background(x) + this.alarm))] : [];
    const all = [...lines, ...(sorted.length > 50 ? [at(0.002), at(0.998)] : sorted)];
    if (!all.length) return [0, 1];
    const [low, high] = [Math.min(...all), Math.max(...all)];
    const margin = 0.08 * Math.max(high - low, 1e-3);
    return [low - margin, high + margin];
  }
}

// Whole phrases: other languages put an article between.
const POINTS = ["from the north", "from the north-east", "from the east", "from the south-east", "from the south", "from the south-west", "from the west", "from the north-west"];
const bearing = (degrees) => tr(POINTS[Math.round(degrees / 45) % 8]);

function svgElement(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

// North is up: the track as a line, the wind as an arrow as long as it is strong.
function compass(fit) {
  const picture = svgElement("svg", { viewBox: "-50 -50 100 100", class: "ox-compass", role: "img", "aria-label": windInWords(fit) });
  const line = (degrees, reach, className) => {
    const [x, y] = [Math.sin((degrees * Math.PI) / 180), -Math.cos((degrees * Math.PI) / 180)];
    return svgElement("line", { x1: -reach * x, y1: -reach * y, x2: reach * x, y2: reach * y, class: className });
  };
  picture.append(svgElement("circle", { cx: 0, cy: 0, r: 40, class: "ox-dial" }));
  const north = svgElement("text", { x: 0, y: -41, class: "ox-north" });
  north.textContent = tr("N");
  picture.append(north);
  if (Number.isFinite(fit.heading)) picture.append(line(fit.heading, 38, "ox-heading"));
  const reach = 8 + 30 * Math.min(1, fit.speed / 15);
  const to = (fit.from + 180) % 360;
  picture.append(line(to, reach, "ox-wind"));
  const [x, y] = [Math.sin((to * Math.PI) / 180), -Math.cos((to * Math.PI) / 180)];
  const at = (ahead, aside) => `${ahead * x - aside * y},${ahead * y + aside * x}`;
  picture.append(svgElement("polygon", { points: `${at(reach + 4, 0)} ${at(reach - 7, 5)} ${at(reach - 7, -5)}`, class: "ox-wind" }));
  return picture;
}

function windInWords(fit) {
  if (!Number.isFinite(fit.speed)) return tr("The wind is not known.");
  const across = Number.isFinite(fit.heading) ? tr(", {speed} m/s of it across the track", { speed: brief(Number(fit.across.toPrecision(2))) }) : "";
  return `${tr("Wind {speed} m/s {from} ({degrees}°)", { speed: brief(Number(fit.speed.toPrecision(2))), from: bearing(fit.from), degrees: String(Math.round(fit.from)) })}${across}.`;
}

// One figure: soundings, band, curve, background and level. Its legend stands below it, so it covers nothing.
class PeakFigure {
  constructor(app, info, i) {
    [this.app, this.info, this.i] = [app, info, i];
    this.fit = new PeakFit(info, null, i);
    const { fit } = this;
    [this.low, this.high] = fit.span(info.reach);
    this.beyond = fit.y.reduce((sum, y) => sum + (y < this.low || y > this.high), 0);
    this.area = element("div", { class: "ox-track-area", role: "img", "aria-label": this.inWords() });
    this.said = element("span", { class: "ox-sub", "aria-hidden": "true" });
    const wind = Number.isFinite(fit.speed) ? compass(fit) : null;
    const doubt = app.table.columns.get("suspect")?.shown(i);
    this.panel = element("article", { class: "ox-figure" },
      element("h3", { text: this.title() }),
      element("div", { class: "ox-with-wind" }, this.area,
        element("div", { class: "ox-windbox" }, wind, element("p", { class: "ox-sub", text: wind
          ? `${windInWords(fit)} ${tr("Arrow: wind; line: track; north is up.")}` : windInWords(fit) }))),
      this.legend(), this.said,
      ...(doubt ? [element("p", { class: "ox-sub", text: tr("Suspect: {why}", { why: doubt }) })] : []),
      this.asTable());
    this.area.addEventListener("pointermove", (event) => this.tell(event));
    this.area.addEventListener("pointerleave", () => { this.said.textContent = ""; });
  }

  // Place, time and file: which peak this is.
  title() {
    const { columns, meta } = this.app.table;
    const text = (name) => columns.get(name)?.text(this.i) ?? "";
    const degrees = (name, positive, negative) => {
      const value = columns.get(name)?.plot[this.i];
      return Number.isFinite(value) ? `${Math.abs(value).toFixed(2)}°${tr(value < 0 ? negative : positive)}` : "";
    };
    const time = text("time");
    const file = text("source").split(/[\\/]/).at(-1);
    const parts = [[degrees("latitude", "N", "S"), degrees("longitude", "E", "W")].filter(Boolean).join(" "),
      time ? `${time.slice(0, 16)} UTC` : "", file || (meta.subtitle ?? "").split(";")[0]];
    return parts.filter(Boolean).join(" · ") || this.app.nameOf(this.i);
  }

  withError(name, unit) {
    const [value, error] = [name, `${name}_error`].map((each) => this.app.table.columns.get(each)?.plot[this.i] ?? NaN);
    if (!Number.isFinite(value)) return "";
    const digits = error > 0 ? Math.max(0, 1 - Math.floor(Math.log10(error))) : 2;
    return `${name} ${Math.abs(value).toFixed(Math.min(digits, 6))}${error > 0 ? ` ± ${error.toFixed(Math.min(digits, 6))}` : ""} ${unit}`;
  }

  inWords() {
    const { fit, info } = this;
    const told = [fit.x.length ? tr("{n} soundings within {reach} km along the track.", { n: fit.x.length, reach: String(info.reach) }) : tr("No soundings in this page.")];
    if (fit.known) told.push(tr("Fit: {what}.", { what: [this.withError("sigma", "km"), this.withError("delta", "ppm")].filter(Boolean).join(", ") }));
    if (!Number.isNaN(fit.alarm)) told.push(tr(fit.height > fit.alarm ? "False-alarm level {height} ppm over the background; the peak is above it." : "False-alarm level {height} ppm over the background; the peak is below it.", { height: brief(Number(fit.alarm.toPrecision(2))) }));
    return [...told, windInWords(fit)].join(" ");
  }

  legend() {
    const { fit, beyond } = this;
    const item = (kind, text) => element("span", { class: "ox-item" }, element("span", { class: `ox-key ox-key-${kind}` }), text);
    const parts = [];
    if (fit.x.length) parts.push(item("dots", beyond ? tr("soundings ({n}, {beyond} beyond the frame at its edge)", { n: fit.x.length, beyond }) : tr("soundings ({n})", { n: fit.x.length })));
    else parts.push(element("span", { class: "ox-item", text: this.info.why ? tr("no soundings: {why}", { why: this.info.why }) : tr("soundings left out to keep the file small") }));
    if (fit.known) {
      parts.push(item("curve", tr("fit: {what}", { what: [this.withError("sigma", "km"), this.withError("delta", "ppm")].filter(Boolean).join(", ") })));
      if (fit.hasBand) parts.push(item("band", tr("1-sigma band of the fit")));
      parts.push(item("line", tr("background")));
      parts.push(Number.isNaN(fit.alarm) ? element("span", { class: "ox-item", text: tr("no false-alarm level known") })
        : item("alarm", tr("false-alarm level, {height} ppm", { height: brief(Number(fit.alarm.toPrecision(2))) })));
    }
    return element("div", { class: "ox-legend" }, ...parts);
  }

  // The figure in numbers, means of ten kilometres.
  asTable() {
    const { fit, info } = this;
    const step = info.reach / 10;
    const rows = [];
    for (let from = -info.reach; from < info.reach; from += step) {
      const middle = from + step / 2;
      let [n, sum] = [0, 0];
      for (let k = 0; k < fit.x.length; k++) if (fit.x[k] >= from && fit.x[k] < from + step) [n, sum] = [n + 1, sum + fit.y[k]];
      const told = [tr("{first} to {last}", { first: String(from), last: String(from + step) }), count(n), n ? (sum / n).toFixed(2) : "", fit.known ? fit.curve(middle).toFixed(2) : "",
        fit.known && fit.hasBand ? fit.error(middle).toFixed(2) : ""];
      rows.push(element("tr", {}, ...told.map((text, k) => element(k ? "td" : "th", { scope: k ? null : "row", class: "ox-num", text }))));
    }
    const heads = [tr("km along the track"), tr("soundings"), tr("mean {column}", { column: info.column }), tr("fit at the middle"), tr("1-sigma error")];
    return element("details", {}, element("summary", { text: tr("The figure as a table") }),
      element("div", { class: "ox-scroll" }, element("table", { class: "ox-plain" }, element("thead", {}, element("tr", {}, ...heads.map((text) => element("th", { scope: "col", class: "ox-num", text })))),
        element("tbody", {}, ...rows))));
  }

  tell(event) {
    if (!this.uplot) return;
    const box = this.uplot.over.getBoundingClientRect();
    const x = this.uplot.posToVal(event.clientX - box.left, "x");
    const y = this.uplot.posToVal(event.clientY - box.top, "y");
    const { fit, info } = this;
    let [best, least] = [-1, Infinity];
    for (let k = 0; k < fit.x.length; k++) {
      const distance = ((fit.x[k] - x) / info.reach) ** 2 + ((fit.y[k] - y) / (this.high - this.low)) ** 2;
      if (distance < least) [best, least] = [k, distance];
    }
    this.said.textContent = best < 0 ? "" : `${tr("sounding at {distance} km: {value}", { distance: fit.x[best].toFixed(1), value: brief(fit.y[best]) })}${fit.known ? tr(", the fit is {value}", { value: brief(Number(fit.curve(fit.x[best]).toPrecision(6))) }) : ""}`;
  }

  draw() {
    this.uplot?.destroy();
    const { app, info } = this;
    const axis = (side, label) => ({ side, label, stroke: () => app.colour("--ink2"), font: FONT, labelFont: FONT, labelSize: 18, labelGap: 2,
      size: side === 3 ? 54 : 30, gap: 4, space: side === 3 ? 34 : 60, grid: { stroke: () => app.colour("--grid"), width: 1 },
      ticks: { stroke: () => app.colour("--grid"), width: 1, size: 4 }, values: (_, values) => values.map(tick) });
    this.uplot = new uPlot({
      width: Math.max(200, this.area.clientWidth), height: Math.max(160, this.area.clientHeight), padding: [8, 12, 2, 0],
      legend: { show: false }, cursor: { show: false }, select: { show: false },
      scales: { x: { time: false, auto: false, range: () => [-info.reach, info.reach] }, y: { time: false, auto: false, range: () => [this.low, this.high] } },
      series: [{}, { paths: () => null, points: { show: false } }],
      axes: [axis(2, tr("distance from the centre (km)")), axis(3, info.label)],
      hooks: { draw: [(plot) => this.inside(plot)] },
    }, [[-info.reach, info.reach], [this.low, this.high]], this.area);
  }

  inside(plot) {
    const { ctx, bbox } = plot;
    const { app, fit, info } = this;
    const ratio = uPlot.pxRatio;
    const px = (x) => plot.valToPos(x, "x", true);
    const py = (y) => plot.valToPos(y, "y", true);
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    const size = Math.max(2, Math.round(2.6 * ratio));
    ctx.fillStyle = app.colour("--rest");
    ctx.globalAlpha = 0.8;
    for (let k = 0; k < fit.x.length; k++) {
      const [x, y] = [px(fit.x[k]), fit.y[k]];
      if (y >= this.low && y <= this.high) ctx.fillRect(x - size / 2, py(y) - size / 2, size, size);
      else {
        const [edge, turn] = y > this.high ? [bbox.top, 1] : [bbox.top + bbox.height, -1];
        ctx.beginPath();
        ctx.moveTo(x, edge + turn * ratio);
        ctx.lineTo(x - 4 * ratio, edge + 8 * turn * ratio);
        ctx.lineTo(x + 4 * ratio, edge + 8 * turn * ratio);
        ctx.fill();
      }
    }
    ctx.globalAlpha = 1;
    if (fit.known) this.lines(ctx, px, py, ratio, Math.ceil(bbox.width / ratio));
    ctx.restore();
  }

  lines(ctx, px, py, ratio, steps) {
    const { app, fit, info } = this;
    const xs = Array.from({ length: steps + 1 }, (_, k) => info.reach * ((2 * k) / steps - 1));
    const path = (value, from = xs) => from.forEach((x, k) => ctx[k ? "lineTo" : "moveTo"](px(x), py(value(x))));
    const line = (value, colour, width, dash) => {
      ctx.beginPath();
      path(value);
      ctx.setLineDash(dash.map((each) => each * ratio));
      ctx.strokeStyle = colour;
      ctx.lineWidth = width * ratio;
      ctx.stroke();
    };
    if (fit.hasBand) {
      ctx.beginPath();
      path((x) => fit.curve(x) + fit.error(x));
      for (const x of [...xs].reverse()) ctx.lineTo(px(x), py(fit.curve(x) - fit.error(x)));
      ctx.fillStyle = app.colour("--odd");
      ctx.globalAlpha = 0.3;
      ctx.fill();
      ctx.globalAlpha = 1;
    }
    line((x) => fit.background(x), app.colour("--ink2"), 1.2, [6, 4]);
    if (!Number.isNaN(fit.alarm)) line((x) => fit.background(x) + fit.alarm, app.colour("--ink"), 1.6, [2, 3]);
    line((x) => fit.curve(x), app.colour("--odd"), 2.2, []);
  }
}

// The figures of the chosen peaks: the selected ones, else the open one, else the strongest in sight.
class PeakPanel {
  constructor(app, bytes) {
    this.app = app;
    const { peaks } = app.table.meta;
    const read = (info) => unpack(bytes, info);
    this.info = { ...peaks, fit: read(peaks.fit), band: read(peaks.band), alarm: read(peaks.alarm), wind: read(peaks.wind),
      points: peaks.points && Object.fromEntries(Object.entries(peaks.points).map(([name, info]) => [name, read(info)])) };
    this.figures = [];
    this.head = element("h2", { "aria-live": "polite" });
    const step = (text, label, by) => element("button", { type: "button", class: "ox-button", text, "aria-label": label, onclick: () => this.step(by) });
    this.place = element("div", { class: "ox-figures" });
    this.panel = element("section", { class: "ox-panel ox-peaks", "aria-label": tr("The track of a peak") },
      element("div", { class: "ox-head" }, this.head, element("div", { class: "ox-choices" }, step(tr("‹ Previous"), tr("Previous peak"), -1), step(tr("Next ›"), tr("Next peak"), 1))),
      this.place);
  }

  chosen() {
    const { app } = this;
    if (app.nSelected) return app.top.filter((i) => app.selected[i]).slice(0, MOST_FIGURES);
    const i = app.current >= 0 ? app.current : app.top[0];
    return i === undefined ? [] : [i];
  }

  step(by) {
    const { app } = this;
    const at = app.top.indexOf(app.current >= 0 ? app.current : app.top[0]);
    const to = app.top[Math.max(0, Math.min(app.top.length - 1, at + by))];
    if (to === undefined) return;
    if (app.nSelected) app.setSelected([]);
    app.open(to);
  }

  refresh() {
    const rows = this.chosen();
    const key = rows.join();
    if (key === this.key) return;
    this.key = key;
    for (const figure of this.figures) figure.uplot?.destroy();
    this.figures = rows.map((i) => new PeakFigure(this.app, this.info, i));
    this.place.replaceChildren(...this.figures.map((figure) => figure.panel));
    this.place.classList.toggle("ox-several", rows.length > 1);
    const more = this.app.nSelected > rows.length ? tr(", the first {most} of {n} selected", { most: rows.length, n: this.app.nSelected }) : "";
    this.head.textContent = !rows.length ? tr("No peak in sight") : rows.length > 1 ? tr("{n} peaks and their tracks", { n: rows.length }) + more
      : tr("Peak {k} of {n} and its track", { k: String(this.app.top.indexOf(rows[0]) + 1), n: this.app.top.length });
    this.draw();
  }

  draw() {
    for (const figure of this.figures) figure.draw();
  }

  destroy() {
    for (const figure of this.figures) figure.uplot?.destroy();
  }
}
