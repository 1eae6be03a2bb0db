// Several results in one document. A selection in one selects what lies near it in the others.

const SHOWN_PAIRS = 20;

// The rows of one result that are near each row of another: those of row i stand from starts[i] to starts[i + 1].
function partnersOf(n, from, to) {
  const starts = new Int32Array(n + 1);
  for (const i of from) starts[i + 1] += 1;
  for (let i = 0; i < n; i++) starts[i + 1] += starts[i];
  const [targets, next] = [new Int32Array(from.length), starts.slice(0, n)];
  for (let k = 0; k < from.length; k++) targets[next[from[k]]++] = to[k];
  return { starts, targets };
}

class LinkedResults {
  constructor(root, meta, results, pairs) {
    this.meta = meta;
    this.root = root;
    root.classList.add("ox", "lk");
    this.said = element("p", { class: "lk-said", role: "status" });
    this.lists = element("div", { class: "lk-lists" });
    const places = results.map(() => element("div"));
    root.append(
      element("header", {}, element("h1", { text: meta.title }), ...meta.notes.map((text) => element("p", { class: "ox-sub", text })), this.said),
      element("div", { class: "lk-panes" }, ...places.map((place, k) =>
        element("section", { class: "lk-pane", "aria-label": meta.results[k].title }, place))),
      this.lists);
    this.explorers = results.map((bytes, k) => new Explorer(places[k], meta.results[k], bytes, {
      onchange: (changed) => "selected" in changed && this.follow(k, changed.selected) }));
    // Every result has a map, a list and a card: who hears the page needs to know of which.
    places.forEach((place, k) => {
      for (const part of place.querySelectorAll("section[aria-label]")) {
        part.setAttribute("aria-label", tr("{what}: {title}", { what: part.getAttribute("aria-label"), title: this.meta.results[k].title }));
      }
    });
    this.near = new Map();
    for (const link of meta.links) this.link(link, pairs);
    this.say(tr("Select rows in one result: what lies near them is selected in the others."));
  }

  link({ a, b, pairs, told, listed, near }, data) {
    const [from, to] = pairs.map((each) => unpack(data, each));
    this.near.set(`${a} ${b}`, { near, ...partnersOf(this.explorers[a].table.n, from, to) });
    this.near.set(`${b} ${a}`, { near, ...partnersOf(this.explorers[b].table.n, to, from) });
    this.lists.append(this.listOf(a, b, told, listed));
  }

  say(text) {
    this.said.textContent = text;
  }

  follow(k, rows) {
    const told = [];
    this.explorers.forEach((other, m) => {
      const found = this.near.get(`${k} ${m}`);
      if (m === k || !found) return;
      const marks = new Uint8Array(other.table.n);
      for (const row of rows) for (let at = found.starts[row]; at < found.starts[row + 1]; at++) marks[found.targets[at]] = 1;
      const near = markedRows(marks);
      other.setSelected(near, true);
      told.push(tr("{n} in {title} ({near})", { n: near.length, title: this.meta.results[m].title, near: found.near }));
    });
    this.say(rows.length
      ? tr("{n} selected in {title}; near them: {what}.", { n: rows.length, title: this.meta.results[k].title, what: told.join(", ") })
      : tr("Nothing is selected."));
  }

  show(a, i, b, j) {
    for (const [k, row] of [[a, i], [b, j]]) {
      this.explorers[k].setSelected([row], true);
      this.explorers[k].open(row);
    }
    this.say(tr("Row {i} of {title}, and row {j} of {other}.", { i: String(i), title: this.meta.results[a].title, j: String(j), other: this.meta.results[b].title }));
  }

  listOf(a, b, told, listed) {
    const names = [a, b].map((k) => this.meta.results[k].title);
    const rows = listed.map(([i, j, km, hours]) => element("tr", {},
      element("td", {}, element("button", { class: "ox-button", type: "button", text: tr("Show"), "aria-label": tr("Show this pair, rows {i} and {j}", { i: String(i), j: String(j) }),
        onclick: () => this.show(a, i, b, j) })),
      element("td", { text: this.explorers[a].inBrief(i) }), element("td", { text: this.explorers[b].inBrief(j) }),
      element("td", { class: "lk-number", text: km.toFixed(1) }),
      element("td", { class: "lk-number", text: hours === null ? "" : (Math.abs(hours) < 0.05 ? 0 : hours).toFixed(1) })));
    const body = element("tbody", {}, ...rows.slice(0, SHOWN_PAIRS));
    const more = element("button", { class: "ox-button", type: "button", text: tr("Show {n} more", { n: rows.length - SHOWN_PAIRS }), onclick: () => {
      body.append(...rows.slice(SHOWN_PAIRS));
      more.remove();
    } });
    return element("section", { class: "ox-panel lk-list" },
      element("h2", { text: tr("{title} and {other}", { title: names[0], other: names[1] }) }), element("p", { text: told }),
      rows.length ? element("div", { class: "lk-scroll" }, element("table", {},
        element("thead", {}, element("tr", {}, ...[tr("show"), names[0], names[1], "km", tr("hours")].map((text, k) => element("th", { scope: "col", class: k > 2 ? "lk-number" : "", text })))),
        body)) : null,
      rows.length > SHOWN_PAIRS ? more : null);
  }
}

async function startLinked() {
  const place = document.getElementById("linked");
  try {
    const meta = JSON.parse(document.getElementById("linked-meta").textContent);
    speak(meta.language);
    const take = async (name) => {
      const holder = document.getElementById(name);
      const bytes = await decode(holder.textContent);
      holder.remove();
      return bytes;
    };
    const results = [];
    for (let k = 0; k < meta.results.length; k++) results.push(await take(`linked-data-${k}`));
    const pairs = await take("linked-pairs");
    place.replaceChildren();
    window.linked = new LinkedResults(place, meta, results, pairs);
    noteFirstPicture();
  } catch (error) {
    place.textContent = tr("The page could not start: {why}", { why: error.message });
    throw error;
  }
}

if (typeof document !== "undefined" && document.getElementById("linked-meta")) startLinked();
