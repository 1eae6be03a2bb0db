// Facets: rows in bins of two columns, each cell coloured by a third; a cell selects its rows, a heading filters. It stands
// below columns.js in one module. Text reaches the document through textContent only.

const MOST_BINS = 7;
const CELL_PICTURES = 6;
const NONE = { name: "", label: "nothing" };

// The bins of a column: names, a filter for each, and the bin of every row. The last one is for missing values.
export function binsOf(column, n) {
  if (!column || column === NONE) return { names: [tr("all rows")], filters: [""], of: new Uint8Array(n) };
  const made = areKinds(column) ? binsOfKinds(column, n) : binsOfNumbers(column, n);
  const gone = made.names.length;
  if (made.of.some((bin) => bin === gone)) {
    made.names.push(tr("missing"));
    made.filters.push(`${quotedName(column)} is missing`);
  }
  return made;
}

const quotedName = ({ name }) => (/^[\p{L}_][\p{L}\p{N}_.]*$/u.test(name) ? name : name.includes("`") ? null : `\`${name}\``);
const quotedText = (text) => `"${text.replace(/["\\]/g, "\\$&")}"`;

// The most frequent values have a bin each, all others one together.
function binsOfKinds(column, n) {
  const key = (i) => (column.kind === "number" ? column.plot[i] : column.raw[i]);
  const gone = (value) => (column.kind === "number" ? Number.isNaN(value) : column.kind === "bool" ? value > 1 : value === 0);
  const sizes = new Map();
  for (let i = 0; i < n; i++) if (!gone(key(i))) sizes.set(key(i), (sizes.get(key(i)) ?? 0) + 1);
  const common = [...sizes.keys()].sort((a, b) => sizes.get(b) - sizes.get(a) || a - b);
  const own = common.slice(0, common.length > MOST_BINS ? MOST_BINS - 1 : MOST_BINS).sort((a, b) => a - b);
  const text = (value) => (column.kind === "text" ? column.words[value - 1] : column.kind === "bool" ? (value ? tr("yes") : tr("no")) : String(value));
  const literal = (value) => (column.kind === "text" ? quotedText(text(value)) : column.kind === "bool" ? (value ? "true" : "false") : text(value));
  const name = quotedName(column);
  const names = own.map((value) => text(value).split(/[\\/]/).at(-1) || tr("(empty)"));
  const filters = own.map((value) => `${name} == ${literal(value)}`);
  if (common.length > own.length) {
    names.push(tr("{n} others", { n: common.length - own.length }));
    filters.push(`${name} not in (${own.map(literal).join(", ")})`);
  }
  const place = new Map(own.map((value, k) => [value, k]));
  return { names, filters, of: Uint8Array.from({ length: n }, (_, i) => (gone(key(i)) ? names.length : place.get(key(i)) ?? own.length)) };
}

// Bins of an even step between the values that one row in a hundred lies beyond; the first and the last have no end.
function binsOfNumbers(column, n) {
  const values = column.plot;
  const sorted = Float64Array.from(values.filter((value) => Number.isFinite(value))).sort();
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  const [low, high] = sorted.length ? [at(0.01), at(0.99)] : [0, 1];
  const time = column.kind === "time";
  const day = (step) => (time ? Math.max(60000, step >= DAY ? Math.ceil(step / DAY) * DAY : Math.ceil(step / 60000) * 60000) : step);
  const step = day(high > low ? niceStep(high - low, MOST_BINS - 1) : 1);
  const edges = [];
  for (let k = Math.floor(low / step) + 1; k * step <= high && edges.length < MOST_BINS - 1; k++) edges.push(Number((k * step).toPrecision(12)));
  const told = (value) => (time ? iso(value).slice(0, step >= DAY ? 10 : 16) : brief(value));
  const literal = (value) => (time ? `"${iso(value)}"` : String(value));
  const name = quotedName(column);
  const names = edges.length ? [tr("below {most}", { most: told(edges[0]) }), ...edges.map((edge, k) => (k + 1 < edges.length ? tr("{first} to {last}", { first: told(edge), last: told(edges[k + 1]) }) : tr("{least} and more", { least: told(edge) })))] : [tr("all values")];
  const filters = edges.length ? [`${name} < ${literal(edges[0])}`, ...edges.map((edge, k) => `${name} >= ${literal(edge)}${k + 1 < edges.length ? ` and ${name} < ${literal(edges[k + 1])}` : ""}`)] : [""];
  const bin = (value) => {
    let k = 0;
    while (k < edges.length && value >= edges[k]) k += 1;
    return k;
  };
  return { names, filters, of: Uint8Array.from(values, (value) => (Number.isNaN(value) ? names.length : bin(value))) };
}

export class FacetPanel {
  constructor(app) {
    this.app = app;
    this.chosen = { x: "", y: "", colour: "" };
    this.place = element("div", { class: "ox-scroll" });
    this.legend = element("div", { class: "ox-legend" });
    this.said = element("p", { class: "ox-sub", "aria-live": "polite" });
    this.choices = element("div", { class: "ox-choices ox-facet-choices" });
    this.panel = element("details", { class: "ox-panel ox-facets" }, element("summary", { text: tr("Facets: rows in bins of two columns") }),
      this.choices, this.legend, this.place, this.said);
    this.panel.addEventListener("toggle", () => this.refresh());
  }

  // Choices are made when the panel is first opened: finding which columns are kinds looks at every value.
  start() {
    if (this.columns) return;
    const { app } = this;
    const { columns, meta } = app.table;
    this.columns = [app.score, ...[...columns.values()].filter((column) => !column.id && !["reason", "change"].includes(column.name)
      && (column.numeric || column.words.length <= MOST_KINDS))];
    const names = this.columns.map((column) => column.name);
    this.chosen.x = [meta.view.fx, meta.view.x, app.scoreName].find((name) => names.includes(name)) ?? "";
    this.chosen.y = [meta.view.fy, meta.view.y].find((name) => names.includes(name) && name !== this.chosen.x) ?? "";
    const pick = (label, spoken, axis, none) => {
      const select = choice(spoken, [none, ...this.columns], this.chosen[axis], (name) => {
        this.chosen[axis] = name;
        this.refresh();
      });
      return element("label", {}, element("span", { text: label }), select);
    };
    const none = { ...NONE, label: tr("nothing") };
    this.choices.append(pick(tr("across"), tr("across of the facets"), "x", none), pick(tr("down"), tr("down of the facets"), "y", none),
      pick(tr("colour"), tr("colour of the facets"), "colour", { name: "", label: tr("{verdict} or not", { verdict: app.called() }) }));
  }

  column(axis) {
    return this.columns.find((column) => column.name === this.chosen[axis]);
  }

  // The colour of every row as the number of a group, and the groups.
  groups() {
    const { app } = this;
    const n = app.table.n;
    const column = this.column("colour");
    const style = (name) => rgba(app.colour(name));
    if (!column) return { of: app.flag, colours: [style("--rest"), style("--odd")], legend: [[style("--odd"), app.called()], [style("--rest"), tr("the others")]] };
    if (areKinds(column)) return tintOfKinds(column, n, style("--none"));
    const tint = tintOfNumbers(column, n, style("--none"));
    const coarse = Uint8Array.from(tint.of, (k) => (k ? 1 + Math.floor((k - 1) / 10) : 0)); // six shades can be told apart
    const colours = [style("--none"), ...Array.from({ length: 6 }, (_, k) => ramp(k / 5))];
    return { of: coarse, colours, ends: tint.ends, legend: tint.legend };
  }

  refresh() {
    if (!this.panel.open) return;
    this.start();
    const { app } = this;
    const n = app.table.n;
    const [x, y, groups] = [binsOf(this.column("x"), n), binsOf(this.column("y"), n), this.groups()];
    const cells = x.names.map(() => y.names.map(() => ({ n: 0, odd: 0, of: new Map() })));
    let seen = 0;
    for (let i = 0; i < n; i++) {
      if (!app.shown[i]) continue;
      const cell = cells[x.of[i]][y.of[i]];
      cell.n += 1;
      cell.odd += app.flag[i];
      cell.of.set(groups.of[i], (cell.of.get(groups.of[i]) ?? 0) + 1);
      seen += 1;
    }
    this.held = { x, y };
    this.sayLegend(groups);
    this.fill(x, y, cells, groups.colours);
    const rows = plural(seen, app.noun);
    this.said.textContent = `${app.shading ? tr("{rows} that are points, of {total}", { rows, total: app.total }) : rows}. ${tr("A cell selects its rows (Shift adds), a heading filters by its bin.")}`;
  }

  sayLegend({ legend, ends }) {
    const swatch = (colour) => {
      const made = element("span", { class: "ox-swatch" });
      made.style.background = `rgb(${colour.join()})`;
      return made;
    };
    const parts = legend.map(([colour, text]) => element("span", { class: "ox-item" }, colour ? swatch(colour) : null, text));
    if (ends) {
      const bar = element("span", { class: "ox-swatch ox-bar" });
      bar.style.background = `linear-gradient(to right, ${RAMP.join()})`;
      parts.unshift(element("span", { class: "ox-item" }, ends[0], bar, ends[1]));
    }
    this.legend.replaceChildren(...parts);
  }

  fill(x, y, cells, colours) {
    const most = Math.max(1, ...cells.flat().map((cell) => cell.n));
    const used = (bins, sum) => bins.names.map((_, k) => k).filter((k) => sum(k) > 0);
    const across = used(x, (a) => cells[a].some((cell) => cell.n));
    const down = used(y, (b) => cells.some((column) => column[b].n));
    const heading = (bins, k, scope) => element("th", { scope, class: "ox-bin" }, bins.filters[k] && !bins.filters[k].startsWith("null")
      ? element("button", { type: "button", class: "ox-link", text: bins.names[k], title: tr("Show these rows alone"), onclick: () => this.narrow(bins.filters[k]) }) : bins.names[k]);
    const [nameX, nameY] = [this.column("x")?.label ?? "", this.column("y")?.label ?? ""];
    const head = element("tr", {}, element("th", { scope: "col", text: nameY ? `${nameY} ↓${nameX ? ` ${nameX} →` : ""}` : nameX ? `${nameX} →` : "" }), ...across.map((a) => heading(x, a, "col")));
    const order = this.column("y") && !areKinds(this.column("y")) ? [...down].reverse() : down; // high numbers above, as on an axis
    const body = order.map((b) => element("tr", {}, heading(y, b, "row"), ...across.map((a) => element("td", {}, this.cell(cells[a][b], a, b, most, colours)))));
    this.place.replaceChildren(element("table", { class: "ox-plain ox-facet-table" }, element("thead", {}, head), element("tbody", {}, ...body)));
  }

  cell(cell, a, b, most, colours) {
    if (!cell.n) return element("span", { class: "ox-sub", text: "–" });
    const { app } = this;
    const bar = element("span", { class: "ox-stack", "aria-hidden": "true" });
    bar.style.width = `${Math.max(6, 100 * Math.sqrt(cell.n / most))}%`;
    for (const [group, n] of [...cell.of].sort((p, q) => p[0] - q[0])) {
      const part = element("span", {});
      [part.style.flexGrow, part.style.background] = [String(n), `rgb(${colours[group].join()})`];
      bar.append(part);
    }
    const button = element("button", { type: "button", class: "ox-cell", title: tr("Select {rows}", { rows: plural(cell.n, app.noun) }), onclick: (event) => this.select(a, b, event) },
      bar, element("span", { text: `${count(cell.n)}${cell.odd ? `, ${count(cell.odd)} ${app.called(cell.odd)}` : ""}` }));
    if (app.table.tile) button.append(this.pictures(a, b));
    return button;
  }

  // The oddest pictures of a cell.
  pictures(a, b) {
    const { x, y } = this.held;
    const rows = this.app.top.filter((i) => x.of[i] === a && y.of[i] === b && this.app.table.tile[i] >= 0).slice(0, CELL_PICTURES);
    return element("span", { class: "ox-cell-pictures" }, ...rows.map((i) => this.app.picture(i, 36)));
  }

  select(a, b, event) {
    const { x, y } = this.held;
    this.app.selectWhere((i) => x.of[i] === a && y.of[i] === b, event);
  }

  // A heading adds its bin to the filter; a second time takes it away again.
  narrow(filter) {
    const box = this.app.filterBox;
    const parts = box.value.trim() ? box.value.trim().split(" & ") : [];
    box.value = parts.includes(`(${filter})`) ? parts.filter((each) => each !== `(${filter})`).join(" & ") : [...parts, `(${filter})`].join(" & ");
    this.app.setFilter(box.value);
  }
}
