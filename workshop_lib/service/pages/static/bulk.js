// The strategy comparison: the same tickets three ways, each as a stream of rows.

import { about } from "./about.js";
import { get, rows } from "./api.js";
import { $, el, fill, say } from "./dom.js";
import { ms, percent, usd, wilson, words } from "./format.js";
import { end, same, take, tally, totals } from "./tally.js";

const STRATEGIES = ["claude", "nano", "cascade"];
const NAMES = { claude: "Sonnet", nano: "Nano", cascade: "Cascade" };
let told = { source: "not known" };
let tallies = null;
let running = null;
const cells = new Map();

function emptyRow(ticket) {
  const own = STRATEGIES.map((strategy) => {
    const cell = el("td", { headers: `head-${strategy}` });
    cells.set(`${strategy} ${ticket.id}`, cell);
    return cell;
  });
  return el("tr", {}, el("th", { scope: "row" }, el("span", { class: "ticket-id" }, ticket.id), ticket.subject), ...own);
}

function showCell(strategy, id) {
  const ticket = tallies[strategy].tickets.get(id);
  const cell = cells.get(`${strategy} ${id}`);
  const reference = tallies.claude.tickets.get(id);
  const differs = strategy !== "claude" && ticket.state === "done" && reference.state === "done" && !same(ticket.decision, reference.decision);
  cell.dataset.state = ticket.state;
  const decision = ticket.decision ? `${words(ticket.decision.category)} ${ticket.decision.priority}` : null;
  fill(cell, decision, el("span", { class: "cell-state", title: ticket.error?.message }, stateOf(ticket)), differs ? el("span", { class: "cell-state differs" }, "differs from Sonnet") : null);
}

function stateOf(ticket) {
  if (ticket.state === "error") return `error: ${words(ticket.error.type)}`;
  if (ticket.state === "done") return ticket.escalated ? "done, escalated" : "done";
  return ticket.state;
}

function figure(strategy, total) {
  const n = `of ${total.n}`;
  const agreement = () => {
    if (strategy === "claude") return ["reference"];
    if (total.pairs === 0) return ["none yet"];
    const [low, high] = wilson(total.agree, total.pairs).map(percent);
    return [`${total.agree} of ${total.pairs}`, `${percent(total.agree / total.pairs)}, 95 % interval ${low} to ${high}`];
  };
  return {
    Finished: [`${total.done} ${n}`],
    Cost: [usd(total.usd, total.complete), told.source],
    "Mean latency": [total.meanMs === null ? "none yet" : ms(total.meanMs), told.source],
    Agreement: agreement(),
    Escalated: [strategy === "cascade" ? `${total.escalated} ${n}` : "does not"],
    Errors: [String(total.errors)],
  };
}

function showTotals() {
  const sums = Object.fromEntries(STRATEGIES.map((strategy) => [strategy, totals(tallies[strategy], tallies.claude)]));
  const figures = STRATEGIES.map((strategy) => figure(strategy, sums[strategy]));
  const dearest = Math.max(...STRATEGIES.map((strategy) => sums[strategy].usd));
  const cell = (name, index) => {
    const [value, note] = figures[index][name];
    const made = el("td", { headers: `head-${STRATEGIES[index]}` }, value, note ? el("span", { class: "aside" }, note) : null);
    if (name === "Cost" && dearest > 0) {
      const extent = el("span", { class: "extent", "aria-hidden": "true" });
      extent.style.width = `${(100 * sums[STRATEGIES[index]].usd) / dearest}%`;
      made.append(extent);
    }
    return made;
  };
  const names = Object.keys(figures[0]);
  fill($("totals"), ...names.map((name) => el("tr", {}, el("th", { scope: "row" }, name), ...STRATEGIES.map((_, index) => cell(name, index)))));
}

let drawn = false;

/** Draw the totals at most once a frame: many rows may come at a time. */
function totalsSoon() {
  if (drawn) return;
  drawn = true;
  requestAnimationFrame(() => {
    drawn = false;
    showTotals();
    const finished = STRATEGIES.map((strategy) => [...tallies[strategy].tickets.values()].filter((ticket) => ticket.state === "done" || ticket.state === "error").length);
    if (running) say(`Running: ${STRATEGIES.map((strategy, index) => `${NAMES[strategy]} ${finished[index]}`).join(", ")} of ${tallies.nano.tickets.size} tickets.`);
  });
}

function prepare(tickets) {
  const ids = tickets.map((ticket) => ticket.id);
  tallies = Object.fromEntries(STRATEGIES.map((strategy) => [strategy, tally(ids)]));
  cells.clear();
  fill($("tickets"), ...tickets.map(emptyRow));
  for (const strategy of STRATEGIES) for (const id of ids) showCell(strategy, id);
  showTotals();
}

async function follow(strategy, tickets, signal) {
  const own = tallies[strategy];
  try {
    for await (const row of rows(`/api/triage/bulk?strategy=${strategy}`, { tickets }, signal)) {
      if (take(own, row)) {
        for (const shown of strategy === "claude" ? STRATEGIES : [strategy]) showCell(shown, row.ticket_id);
        totalsSoon();
      }
    }
    end(own, "");
    return null;
  } catch (error) {
    end(own, error.message);
    return error;
  } finally {
    for (const ticket of tickets) showCell(strategy, ticket.id);
  }
}

async function run(submitted) {
  submitted.preventDefault();
  if (running) return;
  running = new AbortController();
  buttons();
  let outcome;
  try {
    outcome = await runAll(running.signal);
  } catch (error) {
    outcome = error;
  }
  running = null;
  buttons();
  if (tallies) showTotals();
  if (outcome === null) say(summary());
  else if (outcome.aborted) say("Stopped. Tickets without an answer are marked; what ran is charged.");
  else say(outcome.message, "bad");
}

/** Run the three strategies and return the first failure of a whole stream, or null. */
async function runAll(signal) {
  const tickets = (await get(`/api/tickets?split=${$("split").value}`)).tickets.slice(0, Number($("count").value));
  prepare(tickets);
  say(`Running ${tickets.length} tickets three ways.`);
  const failures = await Promise.all(STRATEGIES.map((strategy) => follow(strategy, tickets, signal)));
  const failed = failures.find(Boolean) ?? null;
  if (!failed) told = await about();
  return failed;
}

function summary() {
  const errors = STRATEGIES.map((strategy) => totals(tallies[strategy], tallies.claude).errors).reduce((sum, count) => sum + count, 0);
  return `Done: ${tallies.nano.tickets.size} tickets three ways, ${errors === 0 ? "without an error" : `with ${errors} ${errors === 1 ? "error" : "errors"}`}.`;
}

function buttons() {
  const focused = document.activeElement;
  $("start").textContent = running ? "Running ..." : "Run all three";
  $("start").setAttribute("aria-disabled", String(Boolean(running)));
  $("stop").disabled = !running;
  if (focused === $("stop") && !running) $("start").focus();
}

async function open() {
  $("compare").hidden = true;
  try {
    told = await about();
  } catch (error) {
    say(error.message, "bad");
    return;
  }
  if (!told.bulk.ready) {
    $("build-it").textContent = told.bulk.message;
    $("build-it").hidden = false;
    $("run").hidden = true;
    say("");
    return;
  }
  const heads = { claude: told.tiers.at(-1).model, nano: told.tiers[0].model, cascade: `policy: ${told.policy.name}` };
  const standIn = told.source.includes("sandbox") ? "stand-in for " : "";
  for (const strategy of STRATEGIES) {
    $(`head-${strategy}`).append(el("span", { class: "aside" }, `${strategy === "cascade" ? "" : standIn}${heads[strategy]}`));
  }
  $("run").addEventListener("submit", (submitted) => {
    $("compare").hidden = false;
    run(submitted);
  });
  $("stop").addEventListener("click", () => running?.abort());
  $("reading").textContent =
    "Agreement: the same category and priority as Sonnet on tickets that both finished; it is no measure of being right. " +
    "Mean latency: a ticket's calls added up, as the models reported them. All three strategies share this machine, so they slow each other down on the clock, but not in these figures.";
}

open();
