// Many galaxies: a table that grows, and the same as a CSV file with the columns of `galaxycnn predict`.

import { element, number } from "./galaxy.js";

const at = (id) => document.getElementById(id);

export class Table {
  #card;
  #open;
  #galaxies = [];

  constructor(card, open) {
    this.#card = card;
    this.#open = open;
    const columns = ["", "file", ...(card.questions.length ? ["most likely answers"] : []), ...card.quantities, "flags"];
    const row = element("tr");
    row.append(...columns.map((name) => element("th", name, { scope: "col" })));
    row.firstChild.append(element("span", "picture", { className: "unseen" }));
    at("head").replaceChildren(row);
    at("download").addEventListener("click", () => this.#download());
  }

  clear() {
    this.#galaxies = [];
    at("rows").replaceChildren();
  }

  add(galaxy, file) {
    this.#galaxies.push(galaxy);
    const row = element("tr");
    const picture = element("td");
    if (galaxy.picture) picture.append(element("img", "", { src: galaxy.picture.address, alt: "" }));
    const name = element("td");
    if (galaxy.reason) {
      name.textContent = galaxy.file;
    } else {
      name.append(element("button", galaxy.file, { type: "button", onclick: () => this.#open(file) }));
    }
    const numbers = this.#card.quantities.map((quantity) => {
      const found = galaxy.quantities[quantity];
      const spread = found?.spread == null ? "" : ` ± ${number(found.spread)}`;
      return element("td", found ? number(found.value) + spread : "", { className: "number" });
    });
    const words = element("td", galaxy.words);
    const flags = element("td", galaxy.flags.map((flag) => flag.replaceAll("_", " ")).join(", "), { className: "problem" });
    if (galaxy.reason) flags.textContent = `unreadable: ${galaxy.reason}`;
    row.append(picture, name, ...(this.#card.questions.length ? [words] : []), ...numbers, flags);
    at("rows").append(row);
  }

  #download() {
    const content = new Blob([csv(this.#card, this.#galaxies)], { type: "text/csv" });
    const link = element("a", "", { href: URL.createObjectURL(content), download: `${this.#card.name}.csv` });
    link.click();
    URL.revokeObjectURL(link.href);
  }
}

function csv(card, galaxies) {
  const columns = card.questions.flatMap(({ answers }) => answers.map(({ column }) => column));
  const known = galaxies.filter(({ reason }) => !reason);
  const parts = [["id", ({ id }) => id], ["file", ({ file }) => file]];
  if (columns.length) parts.push(["walk", ({ words }) => words]);
  for (const column of columns) parts.push([column, ({ fractions }) => fractions[column]]);
  if (known.some(({ spread }) => spread)) {
    for (const column of columns) parts.push([`${column}_spread`, ({ spread }) => spread?.[column]]);
  }
  for (const name of card.quantities) {
    parts.push([name, ({ quantities }) => quantities[name]?.value]);
    if (known.some(({ quantities }) => quantities[name].spread !== null)) {
      parts.push([`${name}_spread`, ({ quantities }) => quantities[name]?.spread]);
    }
  }
  if (known.some(({ atypicality }) => atypicality !== null)) parts.push(["atypicality", ({ atypicality }) => atypicality]);
  parts.push(["flags", ({ flags }) => flags.join(" ")], ["reason", ({ reason }) => reason]);
  const rows = galaxies.map((galaxy) => parts.map(([, value]) => cell(value(galaxy))).join(","));
  return [parts.map(([name]) => cell(name)).join(","), ...rows, ""].join("\n");
}

function cell(value) {
  const text = String(value ?? "");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
