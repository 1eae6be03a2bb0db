// The shading of rows that are no points: counts in cells, of all rows and by file and day, and which of them pass a choice
// and a filter. It stands below runs.js and filter.js in one module.

const EDGE = 1e-9; // of an axis: a value within so little of the border of two cells may lie in either

// ---------------------------------------------------------------- files and days

// Groups of rows of which the file and the day are known; a unit is a file on a day.
class Units {
  constructor({ levels, timed }, app, bytes) {
    [this.app, this.run, this.timed] = [app, app.run, timed];
    this.levels = Object.fromEntries(Object.entries(levels).map(([name, info]) => [name, unpack(bytes, info)]));
    this.groups = new Map();
    if (!this.run) return;
    const { cells, of } = this.run;
    const known = new Map();
    cells.file.forEach((file, k) => known.set(file * 2 ** 33 + cells.day[k], k));
    this.of = Int32Array.from(of.file, (file, i) => known.get(file * 2 ** 33 + of.day[i]) ?? -1);
  }

  // What is known of each group of a level: its units, its file if there is but one, its first and last day.
  known(level) {
    if (!this.groups.has(level)) {
      const { cells } = this.run;
      const found = [];
      this.levels[level].forEach((group, k) => {
        const [file, day] = [cells.file[k], cells.day[k]];
        const here = (found[group] ??= { units: [], file, from: day, to: day });
        here.units.push(k);
        if (here.file !== file) here.file = -1;
        [here.from, here.to] = [Math.min(here.from, day), Math.max(here.to, day)];
      });
      this.groups.set(level, found);
    }
    return this.groups.get(level);
  }

  // Whether the rows of a group are of the files and days that were chosen.
  chosen({ units }) {
    const { cells, file, range } = this.run;
    const kept = units.filter((k) => (file < 0 || cells.file[k] === file) && (range === null || (cells.day[k] >= range[0] && cells.day[k] <= range[1]))).length;
    return kept === units.length ? YES : kept ? PERHAPS : NO;
  }

  fact(group, name) {
    if (name === "source" && group.file >= 0) {
      const text = this.run.names[group.file];
      return group.file === this.app.table.meta.run.unnamed ? null : { low: text, high: text, gone: NO };
    }
    if (name !== "time" || !this.timed) return null;
    return group.from === NO_DAY ? { low: NaN, high: NaN, gone: YES } : { low: group.from * DAY, high: (group.to + 1) * DAY - 0.001, gone: NO };
  }
}

// ---------------------------------------------------------------- cells

// What two sources know of a value, taken together.
function met(a, b) {
  if (!a || !b) return a ?? b;
  if (a.gone === YES || b.gone === YES) return a.gone === YES ? a : b;
  return { low: a.low > b.low ? a.low : b.low, high: a.high < b.high ? a.high : b.high, gone: a.gone && b.gone };
}

// How many rows lie in each cell of a plane.
class Cells {
  constructor({ x, y, steps, counts, groups }, bytes, units) {
    [this.x, this.y, this.units, this.told, this.bytes] = [x, y, units, groups, bytes];
    this.counts = unpack(bytes, counts);
    this.at = new Uint32Array(this.counts.length);
    let at = 0;
    unpack(bytes, steps).forEach((step, k) => { this.at[k] = at += step; });
    this.whole = { x, y, at: this.at, counts: this.counts, shift: 0 };
    this.total = this.counts.reduce((sum, n) => sum + n, 0);
  }

  // The same by file and day, in cells that may be larger.
  get grouped() {
    if (this.held === undefined) {
      const { told, bytes } = this;
      const wider = ({ name, low, high, n }) => {
        let [wide, cells] = [(high - low) / n, n];
        for (let k = 0; k < told.shift; k++) [wide, cells] = [2 * wide, (cells + 1) >> 1];
        return { name, low, high: low + wide * cells, n: cells };
      };
      this.held = told ? { x: wider(this.x), y: wider(this.y), shift: told.shift, level: told.level,
        ...Object.fromEntries(["sizes", "steps", "counts"].map((name) => [name, unpack(bytes, told[name])])) } : null;
    }
    return this.held;
  }

  // The cell of each point, -1 for none: computed as Python did.
  cellsOf(xs, ys) {
    if (this.xs !== xs) {
      const place = ({ low, high, n }, value) => (value >= low && value <= high ? Math.min(Math.trunc((value - low) * (n / (high - low))), n - 1) : -1);
      this.xs = xs;
      this.placed = Int32Array.from(xs, (value, i) => {
        const [u, v] = [place(this.x, value), place(this.y, ys[i])];
        return u < 0 || v < 0 ? -1 : v * this.x.n + u;
      });
    }
    return this.placed;
  }

  // Counts of the rows that pass: what is known to pass, and what may. `facts` says what the view knows of a cell.
  passing(app, xs, ys, facts) {
    const { run, filter } = app;
    const uses = filter ? [...filter.uses] : [];
    const byGroup = this.grouped && (run?.limited || uses.some((name) => this.units.fact(this.units.known(this.grouped.level)[0], name)));
    const plane = byGroup ? this.grouped : this.whole;
    const groups = byGroup ? this.units.known(plane.level) : [null];
    const { x, y, shift } = plane;
    const rest = (name) => (name === app.word || name === "selected" ? { low: false, high: false, gone: NO }
      : name === app.scoreName && app.table.meta.digest.ranked && app.floor > -Infinity ? { low: -Infinity, high: app.floor, gone: PERHAPS } : null);
    const says = (group, cell) => (filter ? filter.says((name) => met(met(cell < 0 ? null : facts(plane, cell, name), group ? this.units.fact(group, name) : null), rest(name))) : YES);
    const chosen = groups.map((group) => (!run?.limited ? YES : group ? this.units.chosen(group) : PERHAPS));
    const ofGroup = groups.map((group) => says(group, -1));
    const ofCell = new Int8Array(x.n * y.n).fill(-1);
    const both = uses.some((name) => groups[0] && this.units.fact(groups[0], name));
    const sure = (g, cell) => {
      if (chosen[g] === NO || ofGroup[g] !== PERHAPS) return sureOf.and(chosen[g], ofGroup[g]);
      if (ofCell[cell] < 0) ofCell[cell] = says(null, cell); // what the cell alone decides, it decides for every group
      return sureOf.and(chosen[g], both && ofCell[cell] === PERHAPS ? says(groups[g], cell) : ofCell[cell]);
    };
    const sums = [null, new Float64Array(x.n * y.n), new Float64Array(x.n * y.n)]; // by YES and PERHAPS
    const take = (g, cell, n) => {
      const which = sure(g, cell);
      if (which !== NO) sums[which][cell] += n;
    };
    if (byGroup) this.eachOfGroups(plane, take);
    else plane.at.forEach((cell, k) => take(0, cell, plane.counts[k]));
    const points = this.points(app, this.cellsOf(xs, ys), plane, byGroup ? this.units.levels[plane.level] : null, take, sums[YES]);
    return { ...this.sparse(sums), points, x, y, shift };
  }

  eachOfGroups({ sizes, steps, counts }, take) {
    let k = 0;
    for (let g = 0; g < sizes.length; g++) {
      let cell = 0;
      for (const end = k + sizes[g]; k < end; k++) take(g, (cell += steps[k]), counts[k]);
    }
  }

  // Points are known one by one: they leave the counts, and come back where they pass.
  points(app, placed, { x, shift }, level, take, sure) {
    const { n } = this.x;
    let passing = 0;
    for (let i = 0; i < placed.length; i++) {
      if (placed[i] < 0) continue;
      const cell = (Math.floor(placed[i] / n) >> shift) * x.n + ((placed[i] % n) >> shift);
      take(level ? level[this.units.of[i]] : 0, cell, -1);
      if (!app.shown[i]) continue;
      sure[cell] += 1;
      passing += 1;
    }
    return passing;
  }

  sparse([, sure, perhaps]) {
    const at = [];
    const counts = [];
    let [passing, unclear] = [0, 0];
    for (let cell = 0; cell < sure.length; cell++) {
      passing += sure[cell];
      unclear += perhaps[cell];
      const n = sure[cell] + perhaps[cell];
      if (n <= 0) continue;
      at.push(cell);
      counts.push(n);
    }
    return { at, counts, passing, unclear };
  }

  // Rows on each pixel, as a picture of w by h in one colour: the more, the fuller. `swap` turns the plane over.
  picture(w, h, { x0, kx, y1, ky }, colour, swap, { x, y, at, counts } = this.whole) {
    const image = new ImageData(w, h);
    const seen = new Float64Array(w * h);
    const [dx, dy] = [(x.high - x.low) / x.n, (y.high - y.low) / y.n];
    const clip = (value, most) => Math.max(0, Math.min(most, value));
    for (let k = 0; k < at.length; k++) {
      const [u, v] = [x.low + (at[k] % x.n) * dx, y.low + Math.floor(at[k] / x.n) * dy];
      const [left, right, low, high] = swap ? [v, v + dy, u, u + dx] : [u, u + dx, v, v + dy];
      const from = Math.floor((left - x0) * kx);
      const to = Math.max(from + 1, Math.floor((right - x0) * kx));
      const top = Math.floor((y1 - high) * ky);
      const bottom = Math.max(top + 1, Math.floor((y1 - low) * ky));
      if (to <= 0 || from >= w || bottom <= 0 || top >= h) continue;
      for (let py = clip(top, h); py < clip(bottom, h); py++) for (let px = clip(from, w); px < clip(to, w); px++) seen[py * w + px] += counts[k];
    }
    let most = 1;
    for (const value of seen) if (value > most) most = value;
    const pixels = new Uint32Array(image.data.buffer);
    const scale = 1 / Math.log1p(most);
    for (let p = 0; p < seen.length; p++) if (seen[p]) pixels[p] = packed(colour, Math.round(45 + 165 * Math.log1p(seen[p]) * scale));
    return image;
  }
}

// What is known of the values of a cell of a plane whose columns are x and y: its ends.
function endsOfCell({ x, y }, cell, name) {
  for (const [axis, at] of [[x, cell % x.n], [y, Math.floor(cell / x.n)]]) {
    if (axis.name !== name) continue;
    const [wide, edge] = [(axis.high - axis.low) / axis.n, EDGE * (axis.high - axis.low)];
    return { low: axis.low + at * wide - edge, high: axis.low + (at + 1) * wide + edge, gone: NO };
  }
  return null;
}

export class Shades {
  constructor(app, bytes) {
    const { digest } = app.table.meta;
    this.app = app;
    this.units = new Units(digest, app, bytes);
    this.map = digest.map ? new Cells(digest.map, bytes, this.units) : null;
    this.pairs = new Map();
    for (const info of digest.pairs) this.pairs.set(JSON.stringify([info.x.name, info.y.name]), { info, bytes, cells: null });
  }

  // The cells of a pair of columns, and whether they lie the other way round; null where there are none.
  of(x, y) {
    for (const swap of [false, true]) {
      const found = this.pairs.get(JSON.stringify(swap ? [y, x] : [x, y]));
      if (found) return { cells: (found.cells ??= new Cells(found.info, found.bytes, this.units)), swap };
    }
    return null;
  }

  // The rows of some cells that a view shows: all of them, or those that pass the choice and the filter.
  seen({ cells, swap }, xs, ys, unroll = -180) {
    const { app } = this;
    if (!app.filter && !app.run?.limited) return { ...cells.whole, passing: cells.total, unclear: 0, all: true };
    const facts = (plane, cell, name) => {
      const ends = endsOfCell(plane, cell, name);
      return name === "longitude" && unroll > -180 && ends?.high >= 180 ? null : ends; // drawn further east, perhaps
    };
    return cells.passing(app, swap ? ys : xs, swap ? xs : ys, facts);
  }

  // What the shading shows, in words.
  told({ passing, unclear, points, all, shift }) {
    const [rows, others] = [plural(passing, "row"), plural(unclear, "row")];
    if (all) return tr("Shading: all {rows}, the fuller the more.", { rows: plural(this.app.total, "row") });
    const wider = shift ? ` ${tr("To keep the page small, its cells are {x} times as wide as without a choice.", { x: String(2 ** shift) })}` : "";
    if (!unclear) return tr("Shading: the {rows} that pass, the fuller the more.", { rows }) + wider;
    if (passing > points) return tr("Shading: the {rows} that pass, and all of {others} in cells that the choice cuts, of which the page cannot tell how many pass.", { rows, others }) + wider;
    return tr("The shading cannot follow this choice here: of {others} the page cannot tell how many pass, and shows them all, paler. The points are chosen one by one.", { others }) + wider;
  }
}
