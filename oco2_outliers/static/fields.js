// The overview of fields: what is in every column of a table, as bars and in words. It stands below languages.js
// and columns.js in one module. Text reaches the document through textContent only.

export class Fields extends Page {
  constructor(root, meta) {
    super();
    [this.root, this.meta] = [root, meta];
    [this.wanted, this.sorting, this.mark, this.steep] = ["", "table", "odd", false];
    this.build();
    this.readColours();
    this.fill();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolour());
    new ResizeObserver(() => this.drawAll()).observe(this.list);
  }

  build() {
    const { meta } = this;
    this.root.className = "ox gx";
    const theme = element("button", { type: "button", class: "ox-button", text: tr("Light / dark"), onclick: () => this.turn() });
    this.list = element("div", { class: "gx-fields" });
    this.counted = element("output", { class: "ox-count", "aria-live": "polite" });
    this.root.append(
      element("header", { class: "ox-top" }, element("div", {}, element("h1", { text: meta.title }), element("p", { class: "ox-sub", text: meta.subtitle })), theme),
      this.buildControls(), this.buildLegend(), this.list, this.buildHelp(),
      element("footer", { class: "ox-notes" }, ...meta.notes.map((text) => element("p", { text }))));
  }

  buildControls() {
    this.search = element("input", { type: "text", spellcheck: "false", autocomplete: "off", placeholder: tr("part of a name"), "aria-label": tr("Fields whose name contains") });
    this.search.addEventListener("input", () => this.setSearch(this.search.value));
    const sorts = [["table", tr("as in the table")], ["remarks", tr("with remarks first")], ["missing", tr("most missing first")], ["name", tr("by name")]];
    const sort = choice(tr("Order"), sorts.map(([name, label]) => ({ name, label })), "table", (value) => this.setSorting(value));
    const marks = [{ name: "odd", label: tr("values far from the rest") }, ...(this.meta.flagged ? [{ name: "flag", label: tr("odd pictures") }] : [])];
    const mark = choice(tr("In orange"), marks, "odd", (value) => this.setMark(value));
    const steep = element("input", { type: "checkbox" });
    steep.addEventListener("change", () => this.setSteep(steep.checked));
    return element("div", { class: "ox-controls gx-controls" }, element("div", { class: "gx-choices" }, this.labelled(tr("Name"), this.search), this.labelled(tr("Order"), sort),
      this.labelled(tr("In orange"), mark), element("label", { class: "ox-item" }, steep, tr("small bars taller (logarithm)")), this.counted));
  }

  buildLegend() {
    const item = (kind, text) => element("span", { class: "ox-item" }, element("span", { class: `ox-swatch gx-swatch ${kind}` }), text);
    this.orange = element("span", { text: "" });
    return element("div", { class: "ox-legend" }, item("ox-rest", tr("pictures with such a value")), element("span", { class: "ox-item" },
      element("span", { class: "ox-swatch gx-swatch ox-odd" }), this.orange));
  }

  buildHelp() {
    const lines = [tr("Each card is a column of the table. A bar says how many pictures have such a value; the line above it says how many have none."),
      tr("Remarks in orange boxes name what looks wrong: marks for missing such as -999, infinite values, values far from the rest, ids that are there twice. Nothing was mended."),
      tr("A value is far from the rest when it lies beyond the quartiles by more than three times their distance. Marks for missing and infinite values have no bar; a line below the bars counts them.")];
    return element("details", { class: "ox-panel gx-help" }, element("summary", { text: tr("Help") }), ...lines.map((text) => element("p", { text })));
  }

  // ------------------------------------------------ choices

  setSearch(text) {
    this.wanted = text.toLowerCase();
    this.fill();
  }

  setSorting(name) {
    this.sorting = name;
    this.fill();
  }

  setMark(name) {
    this.mark = name;
    this.fill();
  }

  setSteep(on) {
    this.steep = on;
    this.drawAll();
  }

  chosen() {
    const fields = this.meta.fields.filter((field) => field.name.toLowerCase().includes(this.wanted));
    const by = { remarks: (a, b) => b.remarks.length - a.remarks.length, missing: (a, b) => b.missing - a.missing,
      name: (a, b) => a.name.localeCompare(b.name, "en", { numeric: true }) }[this.sorting];
    return by ? fields.toSorted(by) : fields;
  }

  // ------------------------------------------------ cards

  fill() {
    const fields = this.chosen();
    this.charts = [];
    this.orange.textContent = this.mark === "odd" ? tr("values far from the rest") : tr("odd pictures");
    this.list.replaceChildren(...fields.map((field) => this.cardOf(field)));
    this.counted.textContent = tr("{n} of {rows}", { n: fields.length, rows: plural(this.meta.fields.length, "field") });
    this.drawAll();
  }

  cardOf(field) {
    const { n } = this.meta;
    const gone = field.missing ? tr("{n_missing} of {n} missing", { n_missing: field.missing, n }) : tr("none missing");
    const card = element("section", { class: "ox-panel gx-field", "aria-label": field.name }, element("div", {}, element("h2", { text: field.name }),
      element("p", { class: "ox-sub", text: tr("{kind}; {gone}", { kind: field.kind, gone }) })));
    const bar = element("span");
    bar.style.width = `${(100 * field.missing) / n}%`;
    card.append(element("div", { class: "gx-missing", title: tr("{n} missing", { n: field.missing }) }, bar));
    if (field.bars) card.append(...this.barsOf(field));
    else if (field.words) card.append(this.wordsOf(field.words));
    card.append(element("dl", {}, ...field.facts.map(([name, value]) => element("div", {}, element("dt", { text: name }), element("dd", { text: value })))));
    card.append(...field.remarks.map((text) => element("p", { class: "gx-bad", text })));
    return card;
  }

  barsOf(field) {
    const { bars, ends } = field;
    const canvas = element("canvas", { class: "gx-chart", role: "img", "aria-label": tr("Bars of {name} from {low} to {high}", { name: field.name, low: ends[0], high: ends[1] }) });
    this.charts.push([canvas, bars]);
    const parts = [canvas, element("div", { class: "gx-ends" }, ...(ends[0] === ends[1] ? [element("span", { text: ends[0] })] : ends.map((text) => element("span", { text }))))];
    if (bars.aside.all) parts.push(element("p", { class: "ox-sub", text: tr("{rows} without a bar: marks for missing, or infinite", { rows: plural(bars.aside.all, "value") }) }));
    return parts;
  }

  wordsOf(words) {
    if (words.all[0] === 1 && words.others) {
      const some = words.words.slice(0, 3).map((word) => element("div", {}, element("span", { class: "gx-long", text: word || tr("(empty)"), title: word })));
      return element("div", { class: "gx-words" }, element("p", { class: "ox-sub", text: tr("all different, such as") }), ...some);
    }
    const most = Math.max(...words.all, 1);
    const lines = words.words.map((word, k) => {
      const bar = element("i");
      bar.style.width = `${(100 * words.all[k]) / most}%`;
      const share = (100 * words.flag[k]) / words.all[k];
      if (this.mark === "flag" && share) bar.style.background = `linear-gradient(to right, ${this.colours?.["--odd"] ?? "#d55e00"} ${share}%, ${this.colours?.["--rest"] ?? "#56b4e9"} ${share}%)`;
      return element("div", {}, element("span", { text: word || tr("(empty)"), title: word }), bar, element("span", { text: count(words.all[k]) }));
    });
    if (words.others) lines.push(element("p", { class: "ox-sub", text: tr("and {values} of {rows}", { values: plural(words.others, "other value"), rows: plural(words.other_rows, "picture") }) }));
    return element("div", { class: "gx-words" }, ...lines);
  }

  drawAll() {
    for (const [canvas, bars] of this.charts ?? []) this.draw(canvas, bars);
  }

  // One bar beside the other; what is in orange stands at the bottom of its bar and is never thinner than can be seen.
  draw(canvas, bars) {
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const [w, h] = [canvas.clientWidth, canvas.clientHeight];
    if (!w) return;
    [canvas.width, canvas.height] = [Math.round(w * ratio), Math.round(h * ratio)];
    const context = canvas.getContext("2d", IN_MEMORY);
    context.scale(ratio, ratio);
    const tall = this.steep ? (value) => Math.log1p(value) : (value) => value;
    const most = tall(Math.max(...bars.all, 1));
    const wide = w / bars.all.length;
    const high = (value) => (value ? Math.max(2.5, (tall(value) / most) * (h - 4)) : 0);
    bars.all.forEach((value, k) => {
      const marked = bars[this.mark][k];
      const own = Math.min(high(value), value === marked ? Infinity : Math.max(2.5, (marked / Math.max(value, 1)) * high(value)));
      const box = (colour, height) => {
        context.fillStyle = this.colours[colour];
        context.fillRect(k * wide + 0.5, h - height - 1, Math.max(1, wide - 1), height);
      };
      box("--rest", high(value));
      if (marked) box("--odd", own);
    });
    context.fillStyle = this.colours["--line"];
    context.fillRect(0, h - 1, w, 1);
  }

  // ------------------------------------------------ looks

  recolour() {
    this.readColours();
    this.fill();
  }

  readColours() {
    const computed = getComputedStyle(this.root);
    this.colours = Object.fromEntries(["--rest", "--odd", "--line"].map((name) => [name, computed.getPropertyValue(name).trim()]));
  }
}

function startFields() {
  const place = document.getElementById("fields");
  try {
    const meta = JSON.parse(document.getElementById("fields-meta").textContent);
    speak(meta.language);
    place.replaceChildren();
    window.fields = new Fields(place, meta);
    noteFirstPicture();
  } catch (error) {
    place.textContent = tr("The overview could not start: {why}", { why: error.message });
    throw error;
  }
}

if (typeof document !== "undefined" && document.getElementById("fields-meta")) startFields();
