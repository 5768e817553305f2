// One galaxy: its picture, the answers in words, the flow of votes, and what speaks for an answer.

import { drawing, explain } from "./endpoint.js";

const at = (id) => document.getElementById(id);
const narrow = matchMedia("(max-width: 860px)");
const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.095 ? 1 : 0)}`;
export const number = (value) => Number(value.toPrecision(3)).toString();

export function element(tag, text, properties = {}) {
  return Object.assign(document.createElement(tag), { textContent: text ?? "" }, properties);
}

export class GalaxyView {
  #card;
  #say;
  #galaxy;
  #file;
  #branched;
  #maps = new Map();
  #asked = 0;

  constructor(card, say) {
    this.#card = card;
    this.#say = say;
    this.#branched = card.questions.some(({ parents }) => parents.length);
    at("votes").textContent = this.#branched ? "How volunteers would vote" : "How probable each answer is";
    for (const method of Object.keys(card.methods)) at("method").append(element("option", method));
    at("method").value = "gradcam";
    for (const id of ["question", "method"]) at(id).addEventListener("change", () => this.#explain());
    at("strength").addEventListener("input", () => (at("map").style.opacity = at("strength").value / 100));
    narrow.addEventListener("change", () => this.#galaxy && this.#draw());
    const flow = at("flow");
    for (const event of ["pointerover", "focusin"]) flow.addEventListener(event, (e) => this.#tell(e.target));
    flow.addEventListener("click", (e) => this.#choose(e.target));
    flow.addEventListener("keydown", (e) => {
      if (e.key !== "Enter" && e.key !== " ") return;
      e.preventDefault();
      this.#choose(e.target);
    });
  }

  async show(galaxy, file) {
    this.#forget();
    [this.#galaxy, this.#file] = [galaxy, file];
    at("name").textContent = galaxy.file;
    const { address, left, top, width, height } = galaxy.picture;
    at("image").src = address;
    at("image").alt = galaxy.words ? `${galaxy.file}: ${galaxy.words}` : galaxy.file;
    for (const part of [at("frame"), at("map")]) {
      Object.assign(part.style, { left: `${100 * left}%`, top: `${100 * top}%`, width: `${100 * width}%` });
    }
    at("frame").style.height = `${100 * height}%`;
    at("frame").hidden = width > 0.99 && height > 0.99;
    this.#words();
    this.#questions();
    this.#explain();
    at("galaxy").hidden = false;
    await this.#draw();
  }

  #forget() {
    for (const { address } of this.#maps.values()) URL.revokeObjectURL(address);
    this.#maps.clear();
  }

  #words() {
    const { walk, quantities, flags } = this.#galaxy;
    const chips = walk.map(({ text, answer, share }) => {
      const chip = element("li");
      chip.append(element("span", text), element("b", answer), element("span", ` ${percent(share)}\u00a0%`));
      return chip;
    });
    at("walk").replaceChildren(...chips);
    const numbers = Object.entries(quantities).map(([name, { value, spread }]) => {
      const pair = element("div");
      pair.append(element("dt", name), element("dd", number(value) + (spread === null ? "" : ` ± ${number(spread)}`)));
      return pair;
    });
    at("quantities").replaceChildren(...numbers);
    const warnings = flags.map((flag) => {
      const item = element("li");
      item.append(element("b", flag.replaceAll("_", " ")), `: ${this.#card.flags[flag] ?? ""}`);
      return item;
    });
    at("flags").replaceChildren(...warnings);
  }

  #questions() {
    const walked = new Map(this.#galaxy.walk.map(({ question, answer }) => [question, answer]));
    const before = at("question").value;
    const on = element("optgroup", "", { label: "on the most likely walk" });
    const off = element("optgroup", "", { label: "other questions" });
    for (const { name, text } of this.#card.questions) {
      const words = walked.has(name) ? `${text} (${walked.get(name)})` : text;
      (walked.has(name) ? on : off).append(element("option", words, { value: name }));
    }
    for (const name of this.#card.quantities) on.append(element("option", name, { value: name }));
    const none = element("option", "no question: the galaxy alone", { value: "" });
    at("question").replaceChildren(none, ...[on, off].filter((group) => group.children.length));
    at("question").value = before;
    if (at("question").selectedIndex < 0) at("question").value = "";
  }

  async #draw() {
    const galaxy = this.#galaxy;
    const columns = this.#card.questions.flatMap(({ answers }) => answers.map(({ column }) => column));
    at("flow").closest(".votes").hidden = !columns.length;
    if (!columns.length) return;
    const svg = await drawing(columns.map((column) => galaxy.fractions[column]), narrow.matches);
    if (galaxy !== this.#galaxy) return;
    svg.classList.toggle("upright", narrow.matches);
    svg.classList.toggle("bars", !this.#branched);
    at("flow").replaceChildren(svg);
    this.#tell(null);
    this.#press();
  }

  /** The numbers of the answer or question under the pointer or the focus. */
  #tell(target) {
    const detail = at("detail");
    const group = target?.closest?.("[data-question]");
    if (!group) {
      if (!target) {
        detail.classList.remove("told");
        detail.textContent =
          (this.#branched ? "Widths are fractions of all votes. " : "") +
          "Point at an answer, or go to a question with Tab, for its numbers; press it to see what speaks for its answer.";
      }
      return;
    }
    detail.classList.add("told");
    const { text, answers } = this.#card.questions.find(({ name }) => name === group.dataset.question);
    const total = answers.reduce((sum, { column }) => sum + this.#galaxy.fractions[column], 0);
    const column = target.closest("[data-column]")?.dataset.column;
    const told = answers.filter((answer) => !column || answer.column === column);
    const votes = this.#branched ? " of all votes" : "";
    const said = told.map((answer) => {
      const fraction = this.#galaxy.fractions[answer.column];
      const spread = this.#galaxy.spread ? ` ± ${percent(this.#galaxy.spread[answer.column])}` : "";
      const among = column && total > 0 && this.#branched ? `, ${percent(fraction / total)} % of those asked` : "";
      return `${answer.words} ${percent(fraction)}${spread} %${column ? votes : ""}${among}`;
    });
    detail.replaceChildren(element("b", text), ` ${said.join(" · ")}${column ? "" : votes}`);
  }

  #choose(target) {
    const group = target.closest("[data-question]");
    if (!group) return;
    at("question").value = at("question").value === group.dataset.question ? "" : group.dataset.question;
    this.#tell(target);
    this.#explain();
    at("picture").scrollIntoView({ block: "nearest" });
  }

  #press() {
    for (const group of at("flow").querySelectorAll("[data-question]")) {
      group.setAttribute("aria-pressed", String(group.dataset.question === at("question").value));
    }
  }

  async #explain() {
    const [question, method, asked] = [at("question").value, at("method").value, ++this.#asked];
    this.#press();
    at("map").hidden = at("strength").disabled = true;
    at("caption").textContent = at("frame").hidden ? "" : "Dashed: what the network looks at.";
    if (!question) return;
    const key = `${question} ${method}`;
    const file = this.#file;
    try {
      if (!this.#maps.has(key)) {
        at("caption").textContent = "Looking for what speaks for the answer …";
        const found = await explain(file, question, method, this.#say);
        if (file !== this.#file) return;
        this.#maps.set(key, found);
      }
    } catch (error) {
      if (asked === this.#asked) at("caption").textContent = error.message;
      return;
    }
    if (asked !== this.#asked) return;
    const { address, answer } = this.#maps.get(key);
    const quantity = this.#card.quantities.includes(question);
    const words = quantity ? `raises ${question}, ${answer}` : `speaks for ${answer.replace(/ ([\d.]+)$/, " ($1)")}`;
    at("map").src = address;
    at("map").alt = `Map of what ${words}`;
    at("caption").textContent = `Orange: what ${words}; outlined where it is above half of its largest value.`;
    at("map").hidden = at("strength").disabled = false;
  }
}
