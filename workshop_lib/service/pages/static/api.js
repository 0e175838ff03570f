// Talking to the service: plain JSON, lines of JSON, and server-sent events, all with the same kind of failure.

/** A request that failed, in words for the page. `aborted` says that the person stopped it. */
export class Failed extends Error {
  constructor(message, { aborted = false, type = "" } = {}) {
    super(message);
    this.aborted = aborted;
    this.type = type;
  }
}

const LOST = "The connection to the service was lost. Check that it runs, then try again.";

export async function get(path) {
  const response = await reach(path, {});
  return response.json();
}

/** Yield `{name, data}` for every server-sent event; throw Failed if the stream ends before `done` or `error`. */
export async function* events(path, body, signal) {
  let ended = false;
  let block = "";
  for await (const line of lines(path, body, signal)) {
    if (line !== "") {
      block += `${line}\n`;
      continue;
    }
    if (block === "") continue;
    const event = parsed(block);
    block = "";
    ended = event.name === "done" || event.name === "error";
    yield event;
  }
  if (!ended) throw new Failed("The answer broke off before its last step. What ran is charged; you can route the ticket again.");
}

/** Yield every row of a stream of newline-delimited JSON. */
export async function* rows(path, body, signal) {
  for await (const line of lines(path, body, signal)) {
    if (line.trim() !== "") yield JSON.parse(line);
  }
}

function parsed(block) {
  const field = (name) => block.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? "";
  return { name: field("event"), data: JSON.parse(field("data") || "{}") };
}

async function* lines(path, body, signal) {
  const response = await reach(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await readOn(reader, signal);
    if (done) break;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    yield* parts;
  }
  if (rest !== "") throw new Failed(LOST);
}

async function readOn(reader, signal) {
  try {
    return await reader.read();
  } catch (error) {
    throw lost(signal);
  }
}

async function reach(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    throw lost(options.signal);
  }
  if (!response.ok) throw await refused(response);
  return response;
}

const lost = (signal) => (signal?.aborted ? new Failed("Stopped.", { aborted: true }) : new Failed(LOST));

async function refused(response) {
  try {
    const { error } = await response.json();
    return new Failed(error.message, { type: error.type });
  } catch {
    return new Failed(`The service answered with status ${response.status}.`);
  }
}
