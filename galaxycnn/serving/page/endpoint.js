// What the server is asked. A request that comes too soon waits as long as the server says, and is sent again.

const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

async function ask(address, options, onWait) {
  for (;;) {
    let response;
    try {
      response = await fetch(address, options);
    } catch {
      throw new Error("the server does not answer");
    }
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({ detail: `the server answers ${response.status}` }));
    const seconds = Number(response.headers.get("Retry-After"));
    if (!seconds || !onWait) throw Object.assign(new Error(problem.detail), { galaxies: problem.galaxies ?? [] });
    onWait(problem.detail, seconds);
    await wait(seconds);
  }
}

function form(files, field, others) {
  const body = new FormData();
  for (const file of files) body.append(field, file, file.name);
  for (const [name, value] of Object.entries(others)) body.append(name, value);
  return { method: "POST", body };
}

export async function json(address) {
  return (await ask(address)).json();
}

/** What is said of files; `side` is that of the pictures to show. Where none can be used, why. */
export async function predict(files, side, onWait) {
  try {
    return (await (await ask("api/predict", form(files, "files", { picture: side }), onWait)).json()).galaxies;
  } catch (error) {
    if (error.galaxies?.length) return error.galaxies;
    throw error;
  }
}

/** The address of a picture of what speaks for an answer, and the answer. */
export async function explain(file, question, method, onWait) {
  const response = await ask("api/explain", form([file], "file", { question, method }), onWait);
  const answer = decodeURIComponent(response.headers.get("X-Answer"));
  return { address: URL.createObjectURL(await response.blob()), answer };
}

/** Vote fractions as an element to show. */
export async function drawing(fractions, upright) {
  const numbers = fractions.map((fraction) => fraction.toFixed(4)).join(",");
  const response = await ask(`api/flow.svg?fractions=${numbers}&upright=${upright}`);
  const parsed = new DOMParser().parseFromString(await response.text(), "image/svg+xml");
  return document.importNode(parsed.documentElement, true);
}

export async function example(place, words) {
  const blob = await (await ask(`examples/${place}.png`)).blob();
  return new File([blob], `simulated ${words}.png`, { type: "image/png" });
}
