// Clusterings side by side: the groups of up to four columns, each bar coloured by the groups of the first; a group selects
// its rows. How far two of them agree is told as the adjusted Rand index. It stands below facets.js in one module. Text
// reaches the document through textContent only.

const MOST_CLUSTERINGS = 4;
const MOST_GROUPS = 12;
const LIKELY = /cluster|label|group|version|class/i;

// The adjusted Rand index (Hubert and Arabie 1985) of two clusterings over the rows that have a group in both: 1 where the
// groups are the same, about 0 where they agree no better than chance. NaN where there is nothing to compare.
export function adjustedRand(a, b, shown) {
  const [both, ofA, ofB] = [new Map(), new Map(), new Map()];
  const add = (sums, key) => sums.set(key, (sums.get(key) ?? 0) + 1);
  let n = 0;
  for (let i = 0; i < a.length; i++) {
    if (!a[i] || !b[i] || !shown[i]) continue;
    add(both, a[i] * 2 ** 26 + b[i]);
    add(ofA, a[i]);
    add(ofB, b[i]);
    n += 1;
  }
  if (n < 2) return { n, index: NaN };
  const pairs = (sums) => [...sums.values()].reduce((sum, each) => sum + (each * (each - 1)) / 2, 0);
  const [together, inA, inB, all] = [pairs(both), pairs(ofA), pairs(ofB), (n * (n - 1)) / 2];
  const [chance, most] = [(inA * inB) / all, (inA + inB) / 2];
  return { n, index: most === chance ? 1 : (together - chance) / (most - chance) };
}

export class ClusteringPanel {
  constructor(app) {
    this.app = app;
    this.chosen = [];
    this.place = element("div", { class: "ox-clusterings" });
    this.choices = element("div", { class: "ox-choices ox-facet-choices" });
    this.agreement = element("div", { class: "ox-scroll" });
    this.said = element("p", { class: "ox-sub", "aria-live": "polite" });
    this.panel = element("details", { class: "ox-panel ox-facets" }, element("summary", { text: tr("Clusterings side by side") }),
      this.choices, this.place, this.agreement, this.said);
    this.panel.addEventListener("toggle", () => this.refresh());
  }

  // Finding which columns are groups looks at every value, so it waits until somebody asks.
  start() {
    if (this.columns) return;
    const { table } = this.app;
    const several = (column) => (column.kind === "text" ? column.words.length > 1 && column.words.length <= MOST_KINDS && column.words.length < table.n
      : column.numeric && column.plot.some((value) => value !== column.plot[0] && !Number.isNaN(value)));
    this.columns = [...table.columns.values()].filter((column) => !column.id && !["reason", "change", "nearest"].includes(column.name)
      && several(column) && areKinds(column));
    const likely = this.columns.filter((column) => LIKELY.test(column.name));
    const first = [...likely, ...this.columns.filter((column) => !likely.includes(column))].slice(0, 2);
    this.chosen = Array.from({ length: MOST_CLUSTERINGS }, (_, k) => first[k]?.name ?? "");
    const none = { name: "", label: tr("nothing") };
    const pick = (k) => choice(tr("clustering {k}", { k: String(k + 1) }), [none, ...this.columns], this.chosen[k], (name) => {
      this.chosen[k] = name;
      this.refresh();
    });
    if (this.columns.length > 1) {
      const used = Math.min(MOST_CLUSTERINGS, this.columns.length);
      this.choices.append(...Array.from({ length: used }, (_, k) => element("label", {}, element("span", { text: k ? tr("and") : tr("compare") }), pick(k))));
    }
  }

  refresh() {
    if (!this.panel.open) return;
    this.start();
    const { app } = this;
    if (this.columns.length < 2) {
      this.said.textContent = tr("Two columns of groups are needed: texts, truth values or whole numbers of which there are few.");
      return;
    }
    const names = [...new Set(this.chosen.filter(Boolean))];
    this.held = names.map((name) => {
      const column = this.columns.find((each) => each.name === name);
      return { column, ...kindsOf(column, app.table.n) };
    });
    this.place.replaceChildren(...this.held.map((each) => this.clustering(each)));
    this.sayAgreement();
    this.said.textContent = `${plural(app.nShown, app.noun)}. ${tr("Bars are coloured by the groups of the first. A group selects its rows (Shift adds).")}`;
  }

  // What of a clustering is shown: its largest groups, the others together, the rows without one.
  parts({ of, names }) {
    const { shown, flag } = this.app;
    const parts = names.map((name, k) => ({ name, has: (i) => of[i] === k + 1, n: 0, odd: 0, first: new Map() }));
    const none = { name: tr("in no group"), has: (i) => of[i] === 0, n: 0, odd: 0, first: new Map() };
    const colour = this.held[0].of;
    for (let i = 0; i < of.length; i++) {
      if (!shown[i]) continue;
      const part = of[i] ? parts[of[i] - 1] : none;
      part.n += 1;
      part.odd += flag[i];
      part.first.set(colour[i], (part.first.get(colour[i]) ?? 0) + 1);
    }
    const seen = parts.filter((part) => part.n).sort((a, b) => b.n - a.n);
    const [large, small] = seen.length > MOST_GROUPS ? [seen.slice(0, MOST_GROUPS - 1), seen.slice(MOST_GROUPS - 1)] : [seen, []];
    return [...large, ...(small.length ? [together(small)] : []), ...(none.n ? [none] : [])];
  }

  clustering(each) {
    const parts = this.parts(each);
    const most = Math.max(1, ...parts.map((part) => part.n));
    return element("section", { "aria-label": each.column.label }, element("h3", { text: tr("{column}: {groups}", { column: each.column.label, groups: plural(each.names.length, "group") }) }),
      ...parts.map((part) => this.group(part, most)));
  }

  group(part, most) {
    const { app } = this;
    const none = rgba(app.colour("--none"));
    const bar = element("span", { class: "ox-stack", "aria-hidden": "true" });
    bar.style.width = `${Math.max(6, 100 * Math.sqrt(part.n / most))}%`;
    for (const [k, n] of [...part.first].sort((p, q) => (p[0] || Infinity) - (q[0] || Infinity))) {
      const piece = element("span", {});
      [piece.style.flexGrow, piece.style.background] = [String(n), `rgb(${(k ? kindColour(k - 1) : none).join()})`];
      bar.append(piece);
    }
    const short = part.name.split(/[\\/]/).at(-1) || tr("(empty)");
    const button = element("button", { type: "button", class: "ox-cell", title: tr("Select {rows} of {group}", { rows: plural(part.n, app.noun), group: part.name }),
      onclick: (event) => app.selectWhere(part.has, event) }, bar, element("span", { text: `${tr("{group}: {n}", { group: short, n: part.n })}${part.odd ? `, ${count(part.odd)} ${app.called(part.odd)}` : ""}` }));
    if (app.table.tile) button.append(this.pictures(part));
    return button;
  }

  pictures(part) {
    const { app } = this;
    const rows = [];
    for (const i of app.top) {
      if (rows.length < CELL_PICTURES && app.table.tile[i] >= 0 && part.has(i)) rows.push(i);
    }
    return element("span", { class: "ox-cell-pictures" }, ...rows.map((i) => app.picture(i, 36)));
  }

  agreementOf(a, b) {
    return adjustedRand(a.of, b.of, this.app.shown);
  }

  sayAgreement() {
    if (this.held.length < 2) return this.agreement.replaceChildren();
    const head = element("tr", {}, element("th", { scope: "col", text: tr("adjusted Rand index") }), ...this.held.slice(1).map((each) => element("th", { scope: "col", text: each.column.label })));
    const cell = (a, b) => {
      const { n, index } = this.agreementOf(a, b);
      return element("td", { class: "ox-num", text: Number.isNaN(index) ? "–" : index.toFixed(3), title: tr("{rows} with a group in both", { rows: plural(n, this.app.noun) }) });
    };
    const rows = this.held.slice(0, -1).map((a, k) => element("tr", {}, element("th", { scope: "row", text: a.column.label }),
      ...this.held.slice(1).map((b, j) => (j >= k ? cell(a, b) : element("td", {})))));
    const told = element("p", { class: "ox-sub", text: tr("How far two agree: 1 the same groups, 0 as much as chance; rows without a group in one of them are left out.") });
    return this.agreement.replaceChildren(told, element("table", { class: "ox-plain", "aria-label": tr("adjusted Rand index of each two") }, element("thead", {}, head), element("tbody", {}, ...rows)));
  }
}

// Many small groups as one.
function together(parts) {
  const first = new Map();
  for (const part of parts) for (const [k, n] of part.first) first.set(k, (first.get(k) ?? 0) + n);
  const sum = (name) => parts.reduce((total, part) => total + part[name], 0);
  return { name: tr("{n} others", { n: parts.length }), has: (i) => parts.some((part) => part.has(i)), n: sum("n"), odd: sum("odd"), first };
}
