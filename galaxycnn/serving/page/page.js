// The page: files come in, one goes to the view of a galaxy, many to the table.

import { example, json, predict } from "./endpoint.js";
import { element, GalaxyView } from "./galaxy.js";
import { Table } from "./table.js";

const THUMBNAIL = 96;
const PICTURE = 768;
const TOGETHER = 8;

const at = (id) => document.getElementById(id);
const say = (text, problem = false) => {
  at("status").textContent = text;
  at("status").classList.toggle("problem", problem);
  at("status").classList.remove("unseen");
};
const waiting = (reason, seconds) => say(`Waiting ${seconds} s: ${reason}`);

const card = await json("api/model").catch((error) => say(error.message, true));
const view = new GalaxyView(card, waiting);
const table = new Table(card, (file) => one(file));
const megabyte = 1e6;
let stopped = false;
let run = 0;

function introduce() {
  const { input } = card.members[0];
  const seen = input.crop ? `the middle ${input.crop} pixels` : "the whole picture";
  at("model").textContent = `Model ${card.name} looks at ${seen} of an image, in ${input.width}×${input.height}.`;
  at("types").textContent = `${card.types}, up to ${card.limits.megabytes} MB each`;
  at("files").accept = card.endings;
  document.title = `galaxycnn: ${card.name}`;
}

async function showExamples() {
  const words = await json("examples");
  const items = words.map((what, place) => {
    const button = element("button", "", { type: "button" });
    button.append(element("img", "", { src: `examples/${place}.png`, alt: "", width: 424, height: 424 }), what);
    button.addEventListener("click", async () => one(await example(place, what)));
    const item = element("li");
    item.append(button);
    return item;
  });
  at("examples").replaceChildren(...items);
}

/** Show one galaxy in full. */
async function one(file) {
  const mine = ++run;
  say(`Looking at ${file.name} …`);
  try {
    const [galaxy] = tooLarge(file) ?? (await predict([file], PICTURE, waiting));
    if (mine !== run) return;
    if (galaxy.reason) throw new Error(`${galaxy.file}: ${galaxy.reason}.`);
    await view.show(galaxy, file);
    say(`${galaxy.file}: ${galaxy.words || "done"}`);
    at("status").classList.add("unseen"); // for those who hear the page: all others see the answers
    at("galaxy").scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  } catch (error) {
    if (mine === run) say(error.message, true);
  }
}

/** What is said of a file that need not be sent. */
function tooLarge(file) {
  if (file.size <= card.limits.megabytes * megabyte) return null;
  return [unread(file, `a file has at most ${card.limits.megabytes} MB`)];
}

const unread = (file, reason) => ({
  id: file.name, file: file.name, words: "", walk: [], fractions: {}, spread: null, quantities: {}, atypicality: null,
  flags: ["unreadable"], reason, picture: null,
});

/** Look at many galaxies, a few at a time. */
async function many(files) {
  const mine = ++run;
  stopped = false;
  table.clear();
  at("galaxy").hidden = true;
  at("many").hidden = at("stop").hidden = at("progress").hidden = false;
  let [done, unreadable] = [0, 0];
  for (const group of groups(files)) {
    if (stopped || mine !== run) break;
    say(`Looking at galaxies ${done + 1} to ${done + group.length} of ${files.length} …`);
    let galaxies;
    try {
      galaxies = tooLarge(group[0]) ?? (await predict(group, THUMBNAIL, waiting));
    } catch (error) {
      galaxies = group.map((file) => unread(file, error.message));
    }
    if (mine !== run) return;
    galaxies.forEach((galaxy, i) => table.add(galaxy, group[i]));
    done += group.length;
    unreadable += galaxies.filter(({ reason }) => reason).length;
    at("progress").value = done / files.length;
    at("many-title").textContent = `${done} of ${files.length} galaxies`;
  }
  at("stop").hidden = at("progress").hidden = true;
  say(`${done} of ${files.length} images looked at${unreadable ? `, ${unreadable} of them unreadable` : ""}.`);
}

/** Files that are sent together; one that is too large stands alone. */
function* groups(files) {
  let [group, bytes] = [[], 0];
  const most = Math.min(TOGETHER, card.limits.files);
  const room = 0.9 * card.limits.request_megabytes * megabyte;
  for (const file of files) {
    const alone = file.size > card.limits.megabytes * megabyte;
    if (group.length && (alone || group.length === most || bytes + file.size > room)) {
      yield group;
      [group, bytes] = [[], 0];
    }
    if (alone) {
      yield [file];
    } else {
      group.push(file);
      bytes += file.size;
    }
  }
  if (group.length) yield group;
}

function take(files) {
  if (files.length === 1) {
    at("many").hidden = true;
    one(files[0]);
  } else if (files.length) {
    many(files);
  }
}

function listen() {
  at("files").addEventListener("change", () => {
    take([...at("files").files]);
    at("files").value = "";
  });
  at("stop").addEventListener("click", () => (stopped = true));
  for (const event of ["dragover", "drop", "dragleave"]) {
    addEventListener(event, (e) => {
      e.preventDefault();
      at("drop").classList.toggle("over", event === "dragover");
      if (event === "drop") take([...e.dataTransfer.files]);
    });
  }
  const night = (on) => {
    document.documentElement.classList.toggle("night", on);
    at("night").setAttribute("aria-pressed", String(on));
    localStorage.setItem("night", on ? "on" : "");
  };
  at("night").addEventListener("click", () => night(!document.documentElement.classList.contains("night")));
  night(Boolean(localStorage.getItem("night")));
}

if (card) {
  introduce();
  listen();
  await showExamples();
}
