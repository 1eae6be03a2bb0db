// Many files on one page: a timeline, the ways of the passes, and files one after the other. It stands below columns.js in one module. Text reaches the document through textContent only.

const NO_DAY = -2147483648;
const MOST_DAYS = 366; // more days are shown as months
const MOST_LINES = 500;

const dayText = (day) => (day === NO_DAY ? tr("day not known") : new Date(day * DAY).toISOString().slice(0, 10));
const monthOf = (day) => Number(new Date(day * DAY).toISOString().slice(0, 7).replace("-", "")); // 201907
const monthText = (month) => `${Math.floor(month / 100)}-${String(month % 100).padStart(2, "0")}`;

// ---------------------------------------------------------------- counts by day or month

class Timeline {
  constructor(panel) {
    this.panel = panel;
    this.cursor = -1;
    this.canvas = element("canvas", { class: "ox-days", tabindex: "0", role: "group", "aria-label":
      tr("Timeline: rows and odd rows by day or month. Arrow keys move, Enter shows only that time, Shift and arrows widen it, Escape shows all.") });
    this.said = element("p", { class: "ox-sub", "aria-live": "polite" });
    this.unit = choice(tr("Timeline by"), [{ name: "day", label: tr("by day") }, { name: "month", label: tr("by month") }], "day", (unit) => {
      this.byMonth = unit === "month";
      this.bin();
    });
    const days = [...panel.cells.day].filter((day) => day !== NO_DAY);
    [this.first, this.last] = days.length ? [days.reduce((a, b) => Math.min(a, b)), days.reduce((a, b) => Math.max(a, b))] : [0, -1];
    this.byMonth = this.last - this.first >= MOST_DAYS;
    this.unit.value = this.byMonth ? "month" : "day";
    this.listen();
    this.bin();
  }

  // The bins, and the bin of each day from the first to the last; -1 where there is none.
  bin() {
    const n = Math.max(0, this.last - this.first + 1);
    this.of = new Int32Array(Math.min(n, 4000000));
    this.bins = [];
    for (let k = 0; k < this.of.length; k++) {
      const day = this.first + k;
      const name = this.byMonth ? monthOf(day) : day;
      if (!this.bins.length || this.bins.at(-1).name !== name) this.bins.push({ name, from: day, to: day });
      this.bins.at(-1).to = day;
      this.of[k] = this.bins.length - 1;
    }
    this.cursor = Math.min(this.cursor, this.bins.length - 1);
    this.panel.refresh(true);
  }

  place(day) {
    const k = day - this.first;
    return k >= 0 && k < this.of.length ? this.of[k] : -1;
  }

  text({ name }) {
    return this.byMonth ? monthText(name) : dayText(name);
  }

  told(k) {
    const bin = this.bins[k];
    return tr("{day}: {rows}, {n} {verdict}", { day: this.text(bin), rows: plural(this.rows[k], "row"), n: this.odd[k], verdict: this.panel.app.called(this.odd[k]) });
  }

  // Rows from the counts of the whole run; odd ones from the rows that the page holds, which are all of them.
  count() {
    const { cells, app, file } = this.panel;
    [this.rows, this.odd, this.noDay] = [new Float64Array(this.bins.length), new Float64Array(this.bins.length), 0];
    for (let k = 0; k < cells.rows.length; k++) {
      if (file >= 0 && cells.file[k] !== file) continue;
      const at = this.place(cells.day[k]);
      if (at >= 0) this.rows[at] += cells.rows[k];
      else this.noDay += cells.rows[k];
    }
    const { of } = this.panel;
    for (let i = 0; i < app.flag.length; i++) {
      if (!app.flag[i] || (file >= 0 && of.file[i] !== file) || (app.filter && !app.filter.test(i))) continue;
      const at = this.place(of.day[i]);
      if (at >= 0) this.odd[at] += 1;
    }
  }

  draw() {
    const { canvas, bins } = this;
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [canvas.clientWidth, canvas.clientHeight];
    if (!w || !h) return;
    [canvas.width, canvas.height] = [Math.round(w * ratio), Math.round(h * ratio)];
    const ctx = canvas.getContext("2d", IN_MEMORY);
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    const { app, range } = this.panel;
    const [left, right] = [4, w - 4];
    this.slot = (right - left) / Math.max(1, bins.length);
    const inside = ({ from, to }) => !range || (to >= range[0] && from <= range[1]);
    ctx.font = FONT;
    for (const [values, top, bottom, colour, name] of [[this.rows, 18, h / 2 - 10, "--ink2", tr("rows")], [this.odd, h / 2 + 8, h - 20, "--odd", app.called()]]) {
      const most = values.reduce((a, b) => Math.max(a, b), 0);
      ctx.fillStyle = app.colour("--ink2");
      ctx.textAlign = "left";
      ctx.fillText(tr("{what}, up to {most}", { what: name, most }), left, top - 5);
      ctx.fillStyle = app.colour("--grid");
      ctx.fillRect(left, bottom, right - left, 1);
      ctx.fillStyle = app.colour(colour);
      for (let k = 0; k < bins.length; k++) {
        if (!values[k]) continue;
        const tall = Math.max(2, ((bottom - top) * values[k]) / most);
        ctx.globalAlpha = inside(bins[k]) ? 1 : 0.25;
        ctx.fillRect(left + k * this.slot, bottom - tall, Math.max(1, this.slot - (this.slot > 4 ? 1 : 0)), tall);
      }
      ctx.globalAlpha = 1;
    }
    this.ticks(ctx, left, right, h);
    if (this.cursor >= 0 && document.activeElement === canvas) {
      ctx.strokeStyle = app.colour("--focus");
      ctx.lineWidth = 2;
      ctx.strokeRect(left + this.cursor * this.slot - 1, 4, Math.max(3, this.slot) + 2, h - 22);
    }
  }

  ticks(ctx, left, right, h) {
    const { bins } = this;
    if (!bins.length) return;
    ctx.fillStyle = this.panel.app.colour("--ink2");
    const step = Math.max(1, Math.ceil(bins.length / Math.max(1, Math.floor((right - left) / 84))));
    let end = -Infinity;
    ctx.textAlign = "left";
    for (let k = 0; k < bins.length; k += step) {
      const wide = ctx.measureText(this.text(bins[k])).width;
      const from = Math.max(left, Math.min(right - wide, left + (k + 0.5) * this.slot - wide / 2));
      if (from < end + 8) continue;
      ctx.fillText(this.text(bins[k]), from, h - 4);
      end = from + wide;
    }
  }

  listen() {
    const { canvas } = this;
    const at = (event) => Math.max(0, Math.min(this.bins.length - 1, Math.floor((event.clientX - canvas.getBoundingClientRect().left - 4) / this.slot)));
    let start = -1;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button || !this.bins.length) return;
      start = at(event);
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.bins.length) this.said.textContent = this.told(at(event));
    });
    canvas.addEventListener("pointerup", (event) => {
      if (start < 0) return;
      const end = at(event);
      this.cursor = end;
      if (event.shiftKey && this.panel.range) this.widen(end);
      else if (start === end && this.isChosen(end)) this.panel.choose({ range: null });
      else this.panel.choose({ range: [this.bins[Math.min(start, end)].from, this.bins[Math.max(start, end)].to] });
      start = -1;
    });
    canvas.addEventListener("pointercancel", () => { start = -1; });
    for (const name of ["focus", "blur"]) canvas.addEventListener(name, () => this.draw());
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  isChosen(k) {
    const { range } = this.panel;
    return Boolean(range) && range[0] === this.bins[k].from && range[1] === this.bins[k].to;
  }

  widen(k) {
    const { range } = this.panel;
    const bin = this.bins[k];
    this.panel.choose({ range: range ? [Math.min(range[0], bin.from), Math.max(range[1], bin.to)] : [bin.from, bin.to] });
  }

  key(event) {
    const last = this.bins.length - 1;
    const moves = { ArrowLeft: this.cursor - 1, ArrowRight: this.cursor + 1, Home: 0, End: last };
    if (last < 0) return;
    if (event.key in moves) {
      this.cursor = Math.max(0, Math.min(last, moves[event.key]));
      if (event.shiftKey) this.widen(this.cursor);
      else this.draw();
      this.said.textContent = this.told(this.cursor);
    } else if ((event.key === "Enter" || event.key === " ") && this.cursor >= 0) {
      this.panel.choose({ range: this.isChosen(this.cursor) ? null : [this.bins[this.cursor].from, this.bins[this.cursor].to] });
    } else if (event.key === "Escape" && this.panel.range) {
      this.panel.choose({ range: null });
      event.stopPropagation();
    } else return;
    event.preventDefault();
  }
}

// ---------------------------------------------------------------- the ways of the passes

class Ways {
  constructor(panel, info, bytes) {
    this.panel = panel;
    const { app } = panel;
    const [lat, lon, file, begins] = [info.lat, info.lon, info.file, info.begins].map((each) => unpack(bytes, each));
    const { unroll } = app.table.meta.view;
    this.y = Float64Array.from(lat, (value) => value / 360);
    this.x = Float64Array.from(lon, (value) => (value / 180 < unroll ? value / 180 + 360 : value / 180));
    [this.file, this.begins] = [file, begins];
    this.canvas = element("canvas", { class: "ox-ways", role: "img" });
    this.canvas.addEventListener("click", (event) => this.click(event));
  }

  // A box around the points of one file, or of all.
  box(file = -1) {
    let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
    for (let k = 0; k < this.x.length; k++) {
      if (file >= 0 && this.file[k] !== file) continue;
      [x0, x1, y0, y1] = [Math.min(x0, this.x[k]), Math.max(x1, this.x[k]), Math.min(y0, this.y[k]), Math.max(y1, this.y[k])];
    }
    return x0 > x1 ? null : [x0 - 1, x1 + 1, y0 - 1, y1 + 1];
  }

  draw() {
    const { canvas, panel } = this;
    const { app } = panel;
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [canvas.clientWidth, canvas.clientHeight];
    const box = (this.whole ??= this.box());
    if (!w || !h || !box) return;
    [canvas.width, canvas.height] = [Math.round(w * ratio), Math.round(h * ratio)];
    const ctx = canvas.getContext("2d", IN_MEMORY);
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    const [x0, x1, y0, y1] = box;
    const stretch = Math.cos((Math.max(-60, Math.min(60, (y0 + y1) / 2)) * Math.PI) / 180);
    const k = Math.min(w / ((x1 - x0) * stretch), h / (y1 - y0));
    this.px = (x) => w / 2 + (x - (x0 + x1) / 2) * k * stretch;
    this.py = (y) => h / 2 - (y - (y0 + y1) / 2) * k;
    ctx.fillStyle = app.colour("--sea");
    ctx.fillRect(0, 0, w, h);
    this.coast(ctx, x0 - w / k, x1 + w / k);
    const chosen = panel.file;
    const many = this.x.length > 20000;
    this.lines(ctx, (file) => file !== chosen && panel.outside(file), app.colour("--none"), many ? 0.5 : 1, many ? 0.15 : 0.5, many ? 0 : 2);
    this.lines(ctx, (file) => file !== chosen && !panel.outside(file), app.colour("--rest"), many ? 0.7 : 1.2, (chosen >= 0 ? 0.5 : 1) * (many ? 0.35 : 0.9), many ? 0 : 2);
    if (chosen >= 0) this.lines(ctx, (file) => file === chosen, app.colour("--odd"), 3, 1, 3);
  }

  coast(ctx, west, east) {
    const { coast } = this.panel.app.table;
    if (!coast) return;
    ctx.beginPath();
    for (let turn = Math.floor((west + 180) / 360); turn <= Math.floor((east + 180) / 360); turn++) {
      let pen = false;
      for (let k = 0; k < coast.length; k += 2) {
        if (Number.isNaN(coast[k])) pen = false;
        else {
          ctx[pen ? "lineTo" : "moveTo"](this.px(coast[k] + 360 * turn), this.py(coast[k + 1]));
          pen = true;
        }
      }
    }
    ctx.strokeStyle = this.panel.app.colour("--coast");
    ctx.lineWidth = 0.7;
    ctx.stroke();
  }

  lines(ctx, wanted, colour, width, alpha, dots) {
    ctx.beginPath();
    for (let k = 0; k < this.x.length; k++) {
      if (!wanted(this.file[k])) continue;
      const [x, y] = [this.px(this.x[k]), this.py(this.y[k])];
      if (dots && this.begins[k]) ctx.rect(x - dots / 2, y - dots / 2, dots, dots); // a short pass is seen, too
      const jumps = !this.begins[k] && Math.abs(this.x[k] - this.x[k - 1]) > 180; // across the edge of the map
      ctx[this.begins[k] || jumps ? "moveTo" : "lineTo"](x, y);
    }
    [ctx.strokeStyle, ctx.lineWidth, ctx.globalAlpha] = [colour, width, alpha];
    ctx.stroke();
    ctx.globalAlpha = 1;
  }

  click(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let [best, least] = [-1, 14 ** 2];
    for (let k = 0; k < this.x.length && this.px; k++) {
      const [a, b] = [[this.px(this.x[k]), this.py(this.y[k])], this.begins[k] || !k ? null : [this.px(this.x[k - 1]), this.py(this.y[k - 1])]];
      const from = b ?? a;
      const [dx, dy] = [a[0] - from[0], a[1] - from[1]];
      const t = dx || dy ? Math.max(0, Math.min(1, ((x - from[0]) * dx + (y - from[1]) * dy) / (dx * dx + dy * dy))) : 0;
      const distance = (from[0] + t * dx - x) ** 2 + (from[1] + t * dy - y) ** 2;
      if (distance < least) [best, least] = [k, distance];
    }
    if (best >= 0) this.panel.choose({ file: this.file[best] === this.panel.file ? -1 : this.file[best] });
  }
}

// ---------------------------------------------------------------- the panel of a run

class RunPanel {
  constructor(app, bytes) {
    this.app = app;
    const { run } = app.table.meta;
    const read = (infos) => Object.fromEntries(Object.entries(infos).map(([name, info]) => [name, unpack(bytes, info)]));
    [this.names, this.cells, this.of] = [run.files, read(run.cells), read(run.of)];
    [this.file, this.range] = [-1, null];
    this.sum();
    this.order = this.names.map((_, k) => k).sort((a, b) => this.begun[a] - this.begun[b] || (this.names[a] < this.names[b] ? -1 : 1));
    this.ways = run.ways.lat.n ? new Ways(this, run.ways, bytes) : null;
    this.said = element("output", { class: "ox-count", "aria-live": "polite" });
    this.build();
  }

  // Rows and days of every file.
  sum() {
    const n = this.names.length;
    [this.rows, this.begun, this.ended] = [new Float64Array(n), new Float64Array(n).fill(Infinity), new Float64Array(n).fill(-Infinity)];
    this.cells.file.forEach((file, k) => {
      this.rows[file] += this.cells.rows[k];
      if (this.cells.day[k] === NO_DAY) return;
      this.begun[file] = Math.min(this.begun[file], this.cells.day[k]);
      this.ended[file] = Math.max(this.ended[file], this.cells.day[k]);
    });
  }

  build() {
    const button = (text, label, act) => element("button", { type: "button", class: "ox-button", text, title: label, "aria-label": label, onclick: act });
    this.timeline = new Timeline(this);
    const many = this.names.length > 1;
    this.choice = choice(tr("File"), [{ name: "-1", label: tr("all files") }, ...this.order.map((k) => ({ name: String(k), label: this.shortName(k) }))], "-1",
      (value) => this.choose({ file: Number(value) }));
    this.choice.addEventListener("focus", () => this.nameOptions());
    this.all = button(tr("Show all"), tr("Show all files and days"), () => this.choose({ file: -1, range: null }));
    const files = many ? [element("label", { class: "ox-of-file" }, element("span", { text: tr("file") }), this.choice), button("‹", tr("Previous file (p)"), () => this.step(-1)), button("›", tr("Next file (n)"), () => this.step(1))] : [];
    this.tables = element("details", {}, element("summary", { text: many ? tr("Files and days as tables") : tr("Days as a table") }), (this.tablePlace = element("div", { class: "ox-scroll" })));
    this.tables.addEventListener("toggle", () => this.fillTables());
    this.head = element("h2", { text: this.title() });
    this.panel = element("section", { class: "ox-panel ox-run", "aria-label": tr("Files and days") },
      element("div", { class: "ox-head" }, this.head, element("div", { class: "ox-choices" }, this.timeline.unit, ...files, this.all)),
      element("div", { class: `ox-run-grid${this.ways ? "" : " ox-run-one"}` }, element("div", {}, this.timeline.canvas, this.timeline.said), this.ways?.canvas),
      this.said, this.tables);
    this.keys = (event) => {
      const { target, key } = event;
      const { root } = this.app;
      // A page of its own listens everywhere; a result beside others, or in a notebook, only where the focus is in it.
      const mine = root.contains(target) || (root.id === "explorer" && target === root.ownerDocument.body);
      if (!many || !mine || event.ctrlKey || event.metaKey || event.altKey || target.closest?.("input, select, textarea")) return;
      if (key === "n" || key === "p") this.step(key === "n" ? 1 : -1);
    };
    this.app.root.ownerDocument.addEventListener("keydown", this.keys);
  }

  title() {
    const { first, last } = this.timeline;
    const days = last < first ? "" : first === last ? `, ${dayText(first)}` : `, ${tr("{first} to {last}", { first: dayText(first), last: dayText(last) })}`;
    return `${plural(this.names.length, "file")}${days}`;
  }

  shortName(k) {
    return this.names[k].split(/[\\/]/).at(-1) || tr("file not known");
  }

  dayOfFile(k) {
    return this.begun[k] === Infinity ? tr("day not known") : this.begun[k] === this.ended[k] ? dayText(this.begun[k]) : tr("{first} to {last}", { first: dayText(this.begun[k]), last: dayText(this.ended[k]) });
  }

  fileInWords(k) {
    return tr("{file}, {day}: {rows}, {n} {verdict}", { file: this.shortName(k), day: this.dayOfFile(k), rows: plural(this.rows[k], "row"), n: this.odd[k], verdict: this.app.called(this.odd[k]) });
  }

  nameOptions() {
    for (const option of [...this.choice.options].slice(1)) option.textContent = this.fileInWords(Number(option.value));
  }

  // Whether a file has no row in the chosen time.
  outside(file) {
    return this.range !== null && (this.begun[file] > this.range[1] || this.ended[file] < this.range[0]);
  }

  keeps(i) {
    return (this.file < 0 || this.of.file[i] === this.file) && (this.range === null || (this.of.day[i] >= this.range[0] && this.of.day[i] <= this.range[1]));
  }

  get limited() {
    return this.file >= 0 || this.range !== null;
  }

  get key() {
    return `${this.file}/${this.range ?? ""}`;
  }

  choose({ file = this.file, range = this.range }, quiet = false) {
    const moved = file !== this.file;
    [this.file, this.range] = [file >= 0 && file < this.names.length ? file : -1, range];
    this.choice.value = String(this.file);
    this.app.limit();
    const map = this.app.views.find((view) => view.name === "map");
    if (map && moved && !quiet) {
      const box = this.file >= 0 ? this.ways?.box(this.file) : null;
      if (box) map.range = box;
      else map.range = [...map.home];
      map.show();
    }
    this.refresh(true);
  }

  step(by) {
    const at = this.order.indexOf(this.file);
    const to = at < 0 ? (by > 0 ? 0 : this.order.length - 1) : at + by;
    this.choose({ file: to < 0 || to >= this.order.length ? -1 : this.order[to] });
  }

  // Called when a verdict, a filter or the choice has changed.
  refresh(force = false) {
    const { app } = this;
    if (!this.timeline || !app.views) return;
    const key = `${app.eps}|${app.nFlag}|${app.filterBox?.value}|${this.key}`;
    if (!force && key === this.drawn) return;
    this.drawn = key;
    this.odd = new Float64Array(this.names.length);
    for (let i = 0; i < app.flag.length; i++) if (app.flag[i]) this.odd[this.of.file[i]] += 1;
    this.timeline.count();
    this.say();
    this.timeline.draw();
    if (this.key !== this.drawnWays) this.ways?.draw();
    this.drawnWays = this.key;
    if (this.tables.open) this.fillTables();
  }

  say() {
    const { range, file, app } = this;
    const from = !range ? "" : range[1] > range[0] ? tr("{first} to {last}", { first: dayText(range[0]), last: dayText(range[1]) }) : dayText(range[0]);
    const parts = file >= 0 ? [tr("File {k} of {n}: {what}", { k: String(this.order.indexOf(file) + 1), n: this.names.length, what: this.fileInWords(file) })] : [];
    if (range) {
      const inside = this.timeline.bins.map((bin, k) => (bin.to >= range[0] && bin.from <= range[1] ? k : -1)).filter((k) => k >= 0);
      const sum = (values) => inside.reduce((total, k) => total + values[k], 0);
      const odd = sum(this.timeline.odd);
      parts.push(tr("{day}: {rows}, {n} {verdict}", { day: from, rows: plural(sum(this.timeline.rows), "row"), n: odd, verdict: app.called(odd) }));
    }
    if (!parts.length) parts.push(this.names.length > 1 ? tr("All files. Keys n and p step through them; a click on the timeline or on a pass shows it alone.") : tr("All days. A click on the timeline shows one alone."));
    if (app.filter) parts.push(tr("the filter acts on the {verdict} of the timeline, not on its rows", { verdict: app.called() }));
    if (this.timeline.noDay) parts.push(tr("{rows} without a day", { rows: plural(this.timeline.noDay, "row") }));
    const text = parts.join("; ");
    if (this.said.textContent !== text) this.said.textContent = text;
    this.all.disabled = !this.limited;
    this.ways?.canvas.setAttribute("aria-label", `${tr("Map of the passes of {files}", { files: plural(this.names.length, "file") })}${file >= 0 ? `, ${tr("{file} highlighted", { file: this.shortName(file) })}` : ""}. ${tr("The list of files chooses one, too.")}`);
  }

  draw() {
    this.timeline.draw();
    this.ways?.draw();
  }

  table(caption, heads, lines) {
    return element("table", { class: "ox-plain" }, element("caption", { text: caption }),
      element("thead", {}, element("tr", {}, ...heads.map((text, k) => element("th", { scope: "col", class: k ? "ox-num" : "", text })))), element("tbody", {}, ...lines));
  }

  fillTables() {
    if (!this.tables.open || !this.odd) return;
    const line = (head, texts) => element("tr", {}, element("th", { scope: "row" }, head), ...texts.map((text) => element("td", { class: "ox-num", text })));
    const some = (n) => (n > MOST_LINES ? tr(", the first {most} of {n}", { most: MOST_LINES, n }) : "");
    const files = this.names.map((_, k) => k).sort((a, b) => this.odd[b] - this.odd[a] || this.rows[b] - this.rows[a]);
    const days = this.timeline.bins.map((_, k) => k).filter((k) => this.timeline.rows[k]);
    const share = (odd, rows) => (rows ? `${((100 * odd) / rows).toFixed(2)} %` : "");
    const parts = [];
    if (this.names.length > 1) parts.push(this.table(tr("Files, most {verdict} first", { verdict: this.app.called() }) + some(files.length), [tr("file"), tr("days"), tr("rows"), this.app.called(), tr("share")],
      files.slice(0, MOST_LINES).map((k) => line(element("button", { type: "button", class: "ox-link", text: this.shortName(k), onclick: () => this.choose({ file: k }) }),
        [this.dayOfFile(k), count(this.rows[k]), count(this.odd[k]), share(this.odd[k], this.rows[k])]))));
    parts.push(this.table((this.timeline.byMonth ? tr("Months with rows") : tr("Days with rows")) + some(days.length), [this.timeline.byMonth ? tr("month") : tr("day"), tr("rows"), this.app.called(), tr("share")],
      days.slice(0, MOST_LINES).map((k) => line(this.timeline.text(this.timeline.bins[k]),
        [count(this.timeline.rows[k]), count(this.timeline.odd[k]), share(this.timeline.odd[k], this.timeline.rows[k])]))));
    this.tablePlace.replaceChildren(...parts);
  }

  destroy() {
    this.app.root.ownerDocument.removeEventListener("keydown", this.keys);
  }
}
