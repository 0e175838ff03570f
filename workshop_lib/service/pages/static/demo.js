// The routing demo: one ticket walks the tiers, and every step is shown as it happens.

import { about } from "./about.js";
import { events, get } from "./api.js";
import { $, el, fill, say } from "./dom.js";
import { ms, usd, words } from "./format.js";

const NAMES = { nano: "Nano", claude: "Claude" };
const session = { routed: 0, escalated: 0, review: 0, failed: 0, usd: 0, complete: true, latencyMs: 0 };
let told = { source: "not known", tiers: [] };
let samples = [];
let running = null;
let number = 0;

function panel(name, state, stateText, ...content) {
  const box = $(name);
  box.dataset.state = state;
  const title = name === "final" ? "Final decision" : `${NAMES[name]} `;
  const model = told.tiers.find((tier) => tier.name === name)?.model;
  const standIn = told.source.includes("sandbox") ? "stand-in for " : "";
  const said = el("p", { class: state === "working" ? "state busy" : "state", "data-tone": state === "failed" ? "bad" : "" }, stateText);
  const heading = el("h3", {}, title, model ? el("span", { class: "aside" }, standIn + model) : null);
  fill(box, el("div", { class: "panel-head" }, heading, said), ...content);
}

function decided(decision) {
  return [
    el(
      "div",
      { class: "verdict" },
      el("strong", {}, `${words(decision.category)} ${decision.priority}`),
      el("span", { class: "chip" }, `confidence ${decision.confidence.toFixed(2)}`),
      decision.needs_human ? el("span", { class: "chip", "data-tone": "warn" }, "wants a person to look") : null,
    ),
    el("p", { class: "why" }, decision.reasoning),
  ];
}

function measured(latencyMs, cost, complete = true) {
  return el("p", { class: "measured" }, el("b", {}, ms(latencyMs)), " and ", el("b", {}, usd(cost, complete)), ` (${told.source})`);
}

const shows = {
  start: (name) => {
    panel(name, "working", "at work");
    say(`${NAMES[name]} is at work.`);
  },
  result: (name, data) => {
    const cost = measured(data.latencyMs, data.cost, data.costComplete ?? true);
    if (data.decision) panel(name, "done", data.escalating ? "escalates" : "kept", ...decided(data.decision), cost);
    else panel(name, "failed", data.error ? "call failed" : "no valid answer", el("p", { class: "why" }, data.error?.message ?? "Its reply was not a valid decision."), cost);
  },
  because: (reasons) => {
    $("reason").hidden = false;
    $("reason").textContent = `Escalates because: ${reasons.join("; ")}`;
    say(`Escalates to Claude because: ${reasons.join("; ")}.`);
  },
  done: (data) => {
    const by = `by ${NAMES[data.modelUsed] ?? data.modelUsed}`;
    const review = data.reviewRequired ? ["warn", "a person must look at it"] : ["", "no person needed"];
    const verdict = el("strong", {}, `${words(data.finalDecision.category)} ${data.finalDecision.priority}`);
    panel(
      "final",
      "done",
      by,
      el("div", { class: "verdict" }, verdict, el("span", { class: "chip", "data-tone": review[0] }, review[1])),
      el("p", { class: "why" }, data.escalated ? "Both models are charged, and their times add up:" : "One model was enough:"),
      measured(data.totalLatencyMs, data.totalCost, data.costComplete ?? true),
    );
    if (!data.escalated) panel("claude", "skipped", "not asked");
    say(`Done: ${words(data.finalDecision.category)} ${data.finalDecision.priority} ${by}${data.reviewRequired ? ", and a person must look" : ""}.`);
  },
};

function take({ name, data }) {
  const [tier, what] = name.split("-");
  if (what === "start") {
    if (data.because) shows.because(data.because);
    shows.start(tier);
  } else if (what === "result") {
    shows.result(tier, data);
    session.usd += data.cost;
    session.complete &&= data.costComplete ?? true;
  } else if (name === "done") {
    shows.done(data);
    session.routed += 1;
    session.escalated += data.escalated ? 1 : 0;
    session.review += data.reviewRequired ? 1 : 0;
    session.latencyMs += data.totalLatencyMs;
  } else if (name === "error") {
    broken(data.message);
  }
}

function broken(message) {
  session.failed += 1;
  for (const name of ["nano", "claude"]) {
    if ($(name).dataset.state === "working") panel(name, "failed", "broken off");
  }
  panel("final", "failed", "no decision", el("p", { class: "why" }, message));
  say(message, "bad");
}

function showSession() {
  const { routed, escalated, review, failed, latencyMs } = session;
  const figures = [
    ["tickets routed", String(routed)],
    ["escalated", routed ? `${escalated} of ${routed}` : "none yet"],
    ["for a person", routed ? `${review} of ${routed}` : "none yet"],
    ["without a decision", String(failed)],
    ["mean latency", routed ? ms(latencyMs / routed) : "none yet"],
    ["cost of all calls", usd(session.usd, session.complete)],
  ];
  fill($("session"), ...figures.map(([name, figure]) => el("div", {}, el("dt", {}, name), el("dd", {}, figure))));
  $("session-note").textContent = `Source of latency and cost: ${told.source}. Too few tickets to judge a policy by; the strategy comparison runs more.`;
}

function idle() {
  panel("nano", "idle", "waits for a ticket");
  panel("claude", "idle", "asked only on escalation");
  panel("final", "idle", "");
  $("reason").hidden = true;
}

const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

function started(at) {
  const tick = () => {
    $("timer").textContent = seconds(at);
  };
  tick();
  return setInterval(tick, 100);
}

function ticket() {
  const picked = samples[$("sample").value];
  number += 1;
  const written = { id: picked?.id ?? `own-${number}`, subject: $("subject").value, body: $("body").value };
  return $("tier").value ? { ...written, customer_tier: $("tier").value } : written;
}

async function route(submitted) {
  submitted.preventDefault();
  if (running) return;
  const empty = $("body").value.trim() === "";
  $("form-error").textContent = empty ? "Write what the customer wrote, or pick a sample." : "";
  $("body").toggleAttribute("aria-invalid", empty);
  if (empty) {
    $("body").focus();
    return;
  }
  idle();
  running = new AbortController();
  buttons();
  const at = performance.now();
  const timer = started(at);
  try {
    for await (const event of events("/api/triage/cascade", ticket(), running.signal)) take(event);
    told = await about();
  } catch (error) {
    broken(error.message);
  } finally {
    clearInterval(timer);
    $("timer").textContent = seconds(at);
    running = null;
    buttons();
    showSession();
  }
}

function buttons() {
  const focused = document.activeElement;
  $("route").textContent = running ? "Routing ..." : "Route the ticket";
  $("route").setAttribute("aria-disabled", String(Boolean(running)));
  $("stop").disabled = !running;
  if (focused === $("stop") && !running) $("route").focus();
}

function pick() {
  const picked = samples[$("sample").value];
  $("subject").value = picked?.subject ?? "";
  $("body").value = picked?.body ?? "";
  $("tier").value = picked?.customer_tier ?? "";
}

async function open() {
  idle();
  showSession();
  $("ticket").addEventListener("submit", route);
  $("sample").addEventListener("change", pick);
  $("stop").addEventListener("click", () => running?.abort());
  for (const name of ["subject", "body"]) {
    $(name).addEventListener("input", () => {
      $("sample").value = ""; // a changed sample is a ticket of one's own
    });
  }
  try {
    told = await about();
    samples = (await get("/api/tickets")).tickets;
    $("sample").append(...samples.map((sample, index) => el("option", { value: index }, `${sample.id}: ${sample.subject}`)));
    $("sample").value = "0";
    pick();
    idle();
    showSession();
  } catch (error) {
    say(error.message, "bad");
  }
}

open();
