// The language of the page. English texts are the keys; what has no translation stands in English. It stands above all
// else in one module. What `tr` gives reaches the document through textContent and attributes only.

const SPEECH = { code: "en", texts: {}, singular: [1], group: ",", least: 4 };

// Texts that stand in variables where they are looked up: letters of a compass, what a threshold is called, kinds of a filter.
const HELD = ["N", "S", "E", "W", "eps", "threshold", "factor on eps", "number", "text", "time", "bool", "the end", "a time"];

// Takes the texts that came with the page, once, before anything is shown.
function speak(language) {
  if (language) Object.assign(SPEECH, language);
}

// Whole numbers in groups of three digits; decimals keep their dot in every language.
function grouped(n) {
  const text = n.toLocaleString("en-US");
  if (SPEECH.group === ",") return text;
  return text.replace(/\D/g, "").length < SPEECH.least ? text.replaceAll(",", "") : text.replaceAll(",", SPEECH.group);
}

// One of two forms where a text has them, by the number n.
const formFor = (found, n) => (Array.isArray(found) ? found[SPEECH.singular.includes(n) ? 0 : 1] : found);

// A text of the page in its language, with numbers and names in the places of {n} and {name}.
function tr(text, values = {}) {
  const form = formFor(Object.hasOwn(SPEECH.texts, text) ? SPEECH.texts[text] : text, values.n);
  return form.replace(/\{(\w+)\}/g, (place, name) => {
    if (!Object.hasOwn(values, name)) return place;
    return typeof values[name] === "number" ? grouped(values[name]) : String(values[name]);
  });
}

// A word that agrees with its noun and number, like "isolated" of 3 rows; "flagged [peak]" stands beside "flagged".
function agreed(word, noun, n) {
  const own = `${word} [${noun}]`;
  return formFor(SPEECH.texts[Object.hasOwn(SPEECH.texts, own) ? own : word] ?? word, n);
}
