// Filter expressions on columns, parsed by hand and run as closures: nothing that a person types is ever run as code.
//
//   or:       and ("or" and)*              and:  not ("and" not)*            not: "not" not | comparison
//   compare:  sum (("<" | "<=" | ">" | ">=" | "==" | "=" | "!=") sum)*      chained as on paper: 400 < xco2 < 410
//           | sum ["not"] "in" "(" literal, ... ")" | sum "is" ["not"] "missing" | sum ["not"] "contains" "text"
//   sum, product, unary minus, abs( ), ( ), numbers, "text", names, `names with spaces`, dates like 2016-06-01T18:30
//
// A missing value satisfies no comparison.

export class FilterError extends Error {
  // The text has places like {what}, so that it can be looked up in another language.
  constructor(text, at, values = {}) {
    super(`${text.replace(/\{(\w+)\}/g, (_, name) => values[name])} (at character ${at + 1})`);
    [this.text, this.values, this.at] = [text, values, at];
  }
}

const TOKEN = /\s*(?:(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|`([^`]*)`|([\p{L}_][\p{L}\p{N}_.]*)|(<=|>=|==|!=|<>|&&|\|\||[<>=!&|()[\],+\-*/%]))/uy;
// A day, a month of our times, or a moment, without quotes. With blanks around the minus it is a difference.
const DATE = /\s*(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?|(?:19|20)\d\d-(?:0[1-9]|1[0-2]))(?![\d.:-])/uy;
const KEYWORDS = new Set(["and", "or", "not", "in", "is", "missing", "null", "nan", "contains", "true", "false"]);
const SAME = { "&&": "and", "&": "and", "||": "or", "|": "or", "!": "not", "=": "==", "<>": "!=" };
const MAX_LENGTH = 5000;
const MAX_DEPTH = 100;

function tokens(text) {
  if (text.length > MAX_LENGTH) throw new FilterError("the filter is longer than {most} characters", MAX_LENGTH, { most: String(MAX_LENGTH) });
  const found = [];
  const end = text.trimEnd().length;
  TOKEN.lastIndex = 0;
  let at = 0;
  while (at < end) {
    DATE.lastIndex = at;
    const date = DATE.exec(text);
    if (date) {
      found.push({ kind: "date", value: date[1], at: DATE.lastIndex - date[1].length });
      TOKEN.lastIndex = at = DATE.lastIndex;
      continue;
    }
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (!match) {
      const rest = text.slice(at).trimStart();
      const where = text.length - rest.length;
      const unclosed = /^["'`]/.test(rest);
      throw new FilterError(unclosed ? "a quote is not closed" : "cannot read {what}", where, { what: rest[0] });
    }
    const start = match.index + match[0].length - match[0].trimStart().length;
    at = TOKEN.lastIndex;
    const [, number, string, quoted, word, sign] = match;
    if (number !== undefined) found.push({ kind: "number", value: numeric(number), at: start });
    else if (string !== undefined)
      found.push({ kind: "string", value: string.slice(1, -1).replace(/\\(.)/gs, "$1"), at: start });
    else if (quoted !== undefined) found.push({ kind: "name", value: quoted, at: start });
    else if (word !== undefined && KEYWORDS.has(word.toLowerCase()))
      found.push({ kind: "sign", value: word.toLowerCase(), at: start });
    else if (word !== undefined) found.push({ kind: "name", value: word, at: start });
    else found.push({ kind: "sign", value: SAME[sign] ?? sign, at: start });
  }
  found.push({ kind: "end", value: "the end", at: end });
  return found;
}

// Whole numbers beyond 2**53 (sounding ids) stay whole.
function numeric(text) {
  const value = Number(text);
  return /^\d+$/.test(text) && !Number.isSafeInteger(value) ? BigInt(text) : value;
}

// Milliseconds of a time in UTC; NaN for what is none, like the 30th of February.
function moment(text) {
  const day = /^\d{4}(-\d\d(-\d\d)?)?$/.test(text);
  const value = Date.parse(day || /(Z|[+-]\d\d:?\d\d)$/.test(text) ? text.replace(" ", "T") : `${text.replace(" ", "T")}Z`);
  const date = /^\d{4}-\d\d-\d\d/.exec(text);
  return date && !Number.isNaN(value) && new Date(date[0]).toISOString().slice(0, 10) !== date[0] ? NaN : value;
}

const missing = (value) => value === null || value === undefined || Number.isNaN(value);

const COMPARE = {
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
  // Not ===: a whole number of 64 bits (BigInt) equals a float of the same value; the types were looked at before.
  "==": (a, b) => a == b, // eslint-disable-line eqeqeq
  "!=": (a, b) => a != b, // eslint-disable-line eqeqeq
};

// What can be said of many rows at once, of which only ends are known: all pass, none does, or that is not known.
// A value is known as { low, high, gone }: gone is NO where none is missing, YES where all are, else PERHAPS.
export const [NO, YES, PERHAPS] = [0, 1, 2];
export const sureOf = { not: (a) => (a === PERHAPS ? a : 1 - a), and: (a, b) => (a === NO || b === NO ? NO : Math.max(a, b)),
  or: (a, b) => (a === YES || b === YES ? YES : Math.max(a, b)) };
const unknown = () => null;
const SURE = {
  "<": (a, b) => (a.high < b.low ? YES : a.low >= b.high ? NO : PERHAPS),
  "<=": (a, b) => (a.high <= b.low ? YES : a.low > b.high ? NO : PERHAPS),
  ">": (a, b) => SURE["<"](b, a),
  ">=": (a, b) => SURE["<="](b, a),
  "==": (a, b) => (a.high < b.low || b.high < a.low ? NO // eslint-disable-next-line eqeqeq
    : a.low == a.high && b.low == b.high && a.low == b.low ? YES : PERHAPS),
  "!=": (a, b) => sureOf.not(SURE["=="](a, b)),
};

function sureTest(sign, f, g) {
  return (facts) => {
    const [a, b] = [f(facts), g(facts)];
    if (a?.gone === YES || b?.gone === YES) return NO;
    if (!a || !b) return PERHAPS;
    const sure = SURE[sign](a, b);
    return sure === YES && (a.gone || b.gone) ? PERHAPS : sure;
  };
}

class Parser {
  constructor(text, columns) {
    this.tokens = tokens(text);
    this.position = 0;
    this.columns = columns;
    this.uses = new Set();
    this.depth = 0;
  }

  get next() {
    return this.tokens[this.position];
  }

  take(...values) {
    const token = this.next;
    if (token.kind === "sign" && values.includes(token.value)) {
      this.position += 1;
      return token;
    }
    return null;
  }

  need(value) {
    const token = this.take(value);
    if (!token) throw new FilterError("expected {what} before {next}", this.next.at, { what: value, next: this.shown() });
    return token;
  }

  shown() {
    const { kind, value } = this.next;
    return kind === "end" ? "the end" : kind === "string" ? JSON.stringify(value) : String(value);
  }

  deeper(parse) {
    this.depth += 1;
    if (this.depth > MAX_DEPTH) throw new FilterError("too many brackets inside each other", this.next.at);
    const node = parse();
    this.depth -= 1;
    return node;
  }

  all() {
    const node = this.or();
    if (this.next.kind !== "end") throw new FilterError("did not expect {next}", this.next.at, { next: this.shown() });
    this.truth(node);
    return node;
  }

  truth(node) {
    if (node.type !== "bool") throw new FilterError("expected a condition, like xco2 > 410", node.at);
    return node.of;
  }

  // The same of many rows: YES, NO or PERHAPS.
  sure(node) {
    if (node.says) return node.says;
    const known = node.known ?? unknown;
    return (facts) => {
      const value = known(facts);
      if (value?.gone === YES) return NO;
      return !value || value.gone || value.low !== value.high ? PERHAPS : value.low ? YES : NO;
    };
  }

  or() {
    let left = this.and();
    while (this.take("or")) {
      const right = this.and();
      const [a, b, f, g] = [this.truth(left), this.truth(right), this.sure(left), this.sure(right)];
      left = { type: "bool", at: left.at, of: (i) => a(i) === true || b(i) === true, says: (facts) => sureOf.or(f(facts), g(facts)) };
    }
    return left;
  }

  and() {
    let left = this.not();
    while (this.take("and")) {
      const right = this.not();
      const [a, b, f, g] = [this.truth(left), this.truth(right), this.sure(left), this.sure(right)];
      left = { type: "bool", at: left.at, of: (i) => a(i) === true && b(i) === true, says: (facts) => sureOf.and(f(facts), g(facts)) };
    }
    return left;
  }

  not() {
    const sign = this.take("not");
    if (!sign) return this.comparison();
    const inner = this.deeper(() => this.not());
    const [a, f] = [this.truth(inner), this.sure(inner)];
    return { type: "bool", at: sign.at, of: (i) => a(i) !== true, says: (facts) => sureOf.not(f(facts)) };
  }

  comparison() {
    let left = this.sum();
    const tests = [];
    for (;;) {
      const sign = this.take("<", "<=", ">", ">=", "==", "!=");
      if (sign) {
        const right = this.sum();
        tests.push(this.compared(left, sign, right));
        left = right;
        continue;
      }
      if (tests.length) break;
      const special = this.special(left);
      if (!special) return left;
      return special;
    }
    const at = tests[0].at;
    const says = (facts) => tests.reduce((sure, test) => sureOf.and(sure, test.says(facts)), YES);
    if (tests.length === 1) return { type: "bool", at, of: tests[0].of, says };
    return { type: "bool", at, of: (i) => tests.every((test) => test.of(i)), says };
  }

  // Both sides brought to one type, or a message that says what to write.
  compared(left, sign, right) {
    let [a, b] = this.timed(left, right);
    if (a.type !== b.type) {
      const date = a.date ? a : b.date ? b : null;
      if (date)
        throw new FilterError("{date} is read as a date, and compared with a {kind}; for a difference put blanks around the minus",
          date.at, { date: date.value, kind: a.type === "text" ? b.type : a.type });
      if (a.type === "time" || b.type === "time")
        throw new FilterError("{name}: compare it with a date, like 2019-07-15", sign.at, { name: (a.type === "time" ? a : b).name ?? "a time" });
      const text = a.type === "text" ? a : b.type === "text" ? b : null;
      const hint = text && !text.literal ? "it holds text: compare it with a text in quotes"
        : text ? "a text in quotes is compared with a number" : "{kind} is compared with {other}";
      const values = { name: text?.name, kind: a.type, other: b.type };
      throw new FilterError(text && text.name ? "{name}: it holds text: compare it with a text in quotes" : hint, sign.at, values);
    }
    const test = COMPARE[sign.value];
    const [f, g] = [a.of, b.of];
    return {
      at: left.at,
      of: (i) => {
        const [x, y] = [f(i), g(i)];
        return !missing(x) && !missing(y) && test(x, y);
      },
      says: sureTest(sign.value, a.known ?? unknown, b.known ?? unknown),
    };
  }

  // A text beside a time is read as a time, in UTC, and so is a year.
  timed(left, right) {
    const asTime = (node) => {
      const year = node.literal && node.type === "number" && Number.isInteger(node.value) && node.value >= 1000 && node.value < 10000;
      if (!node.literal || (node.type !== "text" && !year)) return node;
      const text = String(node.value).trim();
      const value = moment(text);
      if (Number.isNaN(value)) throw new FilterError("{what} is no time like 2019-07-15T18:30", node.at, { what: JSON.stringify(text) });
      return { type: "time", at: node.at, of: () => value, known: () => ({ low: value, high: value, gone: NO }) };
    };
    if (left.type === "time") return [left, asTime(right)];
    if (right.type === "time") return [asTime(left), right];
    return [left, right];
  }

  special(left) {
    const start = this.position;
    const negated = this.take("not");
    const sign = this.take("in", "contains", ...(negated ? [] : ["is"]));
    if (!sign) {
      this.position = start;
      return null;
    }
    if (sign.value === "is") return this.isMissing(left);
    const test = sign.value === "in" ? this.member(left, sign) : this.contains(left, sign);
    const known = left.known ?? unknown;
    const says = (facts) => {
      const [value, sure] = [known(facts), test.says(facts)];
      if (!negated) return sure;
      return value?.gone === YES ? NO : sure === NO && value?.gone !== NO ? PERHAPS : sureOf.not(sure);
    };
    return { type: "bool", at: left.at, of: negated ? (i) => !missing(left.of(i)) && !test(i) : test, says };
  }

  isMissing(left) {
    const negated = this.take("not");
    if (!this.take("missing", "null", "nan")) throw new FilterError("expected missing after is", this.next.at);
    const known = left.known ?? unknown;
    const says = (facts) => {
      const gone = known(facts)?.gone ?? PERHAPS;
      return negated ? sureOf.not(gone) : gone;
    };
    return { type: "bool", at: left.at, of: (i) => missing(left.of(i)) !== Boolean(negated), says };
  }

  member(left, sign) {
    const open = this.take("(", "[");
    if (!open) throw new FilterError("expected a list after in, like in (1, 2)", this.next.at);
    const tests = [];
    do {
      tests.push(this.compared(left, { value: "==", at: sign.at }, this.unary()));
    } while (this.take(","));
    this.need(open.value === "(" ? ")" : "]");
    return Object.assign((i) => tests.some((test) => test.of(i)),
      { says: (facts) => tests.reduce((sure, test) => sureOf.or(sure, test.says(facts)), NO) });
  }

  contains(left, sign) {
    const token = this.next;
    if (left.type !== "text" || token.kind !== "string")
      throw new FilterError("contains wants a text column before it and a text in quotes after it", sign.at);
    this.position += 1;
    const wanted = token.value.toLowerCase();
    const known = left.known ?? unknown;
    const says = (facts) => {
      const value = known(facts);
      if (!value) return PERHAPS;
      const sure = value.gone === YES ? NO : value.low !== value.high ? PERHAPS : value.low.toLowerCase().includes(wanted) ? YES : NO;
      return sure === YES && value.gone ? PERHAPS : sure;
    };
    return Object.assign((i) => {
      const value = left.of(i);
      return !missing(value) && value.toLowerCase().includes(wanted);
    }, { says });
  }

  number(node, sign) {
    if (node.type !== "number") throw new FilterError("{what} works on numbers only", sign.at, { what: sign.value });
    // Arithmetic is done in floats, also on whole numbers of 64 bits.
    return (i) => {
      const value = node.of(i);
      return missing(value) ? NaN : Number(value);
    };
  }

  sum() {
    let left = this.product();
    for (let sign; (sign = this.take("+", "-")); ) {
      const [a, b, plus] = [this.number(left, sign), this.number(this.product(), sign), sign.value === "+"];
      left = { type: "number", at: left.at, of: plus ? (i) => a(i) + b(i) : (i) => a(i) - b(i) };
    }
    return left;
  }

  product() {
    let left = this.unary();
    for (let sign; (sign = this.take("*", "/", "%")); ) {
      const [a, b] = [this.number(left, sign), this.number(this.unary(), sign)];
      const of = { "*": (i) => a(i) * b(i), "/": (i) => a(i) / b(i), "%": (i) => a(i) % b(i) }[sign.value];
      left = { type: "number", at: left.at, of };
    }
    return left;
  }

  unary() {
    const sign = this.take("-", "+");
    if (!sign) return this.primary();
    const node = this.deeper(() => this.unary());
    if (sign.value === "+") return node;
    if (node.literal && node.type === "number") return this.literal("number", -node.value, sign.at);
    const a = this.number(node, sign);
    return { type: "number", at: sign.at, of: (i) => -a(i) };
  }

  literal(type, value, at) {
    return { type, at, literal: true, value, of: () => value, known: () => ({ low: value, high: value, gone: NO }) };
  }

  primary() {
    const token = this.next;
    if (this.take("(")) {
      const node = this.deeper(() => this.or());
      this.need(")");
      return node;
    }
    if (token.kind === "number") return this.step(this.literal("number", token.value, token.at));
    if (token.kind === "date") return this.step({ ...this.literal("text", token.value, token.at), date: true });
    if (token.kind === "string") return this.step(this.literal("text", token.value, token.at));
    if (this.take("true", "false")) return this.literal("bool", token.value === "true", token.at);
    if (token.kind === "name") return this.name(token);
    throw new FilterError("expected a column, a number or a text before {next}", token.at, { next: this.shown() });
  }

  step(node) {
    this.position += 1;
    return node;
  }

  name(token) {
    this.position += 1;
    if (token.value === "abs" && this.next.value === "(" && !this.columns.has("abs")) {
      this.need("(");
      const a = this.number(this.deeper(() => this.sum()), token);
      this.need(")");
      return { type: "number", at: token.at, of: (i) => Math.abs(a(i)) };
    }
    const column = this.columns.get(token.value);
    if (!column) throw new FilterError(this.suggestion(token.value) ? "no column {name}; there is {some}" : "no column {name}", token.at, { name: token.value, some: this.suggestion(token.value) });
    this.uses.add(token.value);
    return { type: column.type, at: token.at, name: token.value, of: column.value, known: (facts) => facts(token.value) };
  }

  suggestion(name) {
    const wanted = name.toLowerCase();
    const near = [...this.columns.keys()].filter((key) => key.toLowerCase().startsWith(wanted.slice(0, 3)));
    return near.slice(0, 4).join(", ");
  }
}

/**
 * Turn text into a test of row numbers.
 * @param {string} text
 * @param {Map<string, {type: "number"|"text"|"time"|"bool", value: (row: number) => any}>} columns
 * @returns {{test: (row: number) => boolean, says: (facts: (name: string) => object | null) => number, uses: Set<string>} | null}
 * null for an empty filter; `says` answers for all rows of which the facts are true
 * @throws {FilterError} whose message says what is wrong, and where
 */
export function compileFilter(text, columns) {
  if (!text.trim()) return null;
  const parser = new Parser(text, columns);
  const node = parser.all();
  return { test: (i) => node.of(i) === true, says: parser.sure(node), uses: parser.uses };
}
