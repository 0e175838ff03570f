// What the rows of one strategy come to. No element of the page in here.

/** Return an empty tally for tickets with these ids. */
export const tally = (ids) => ({ tickets: new Map(ids.map((id) => [id, { state: "waiting", decision: null, nano: null, usd: 0, latencyMs: 0, escalated: false, error: null }])), complete: true, stopped: "" });

/** Take one row into a tally and return its ticket, or null for a row of a ticket that was not sent. */
export function take(tally, row) {
  const ticket = tally.tickets.get(row.ticket_id);
  if (!ticket) return null;
  if (row.error) {
    ticket.state = "error";
    ticket.error = row.error;
    return ticket;
  }
  ticket.usd += row.cost;
  ticket.latencyMs += row.latencyMs;
  ticket.escalated ||= row.escalated ?? false;
  if (row.costComplete === false) tally.complete = false;
  if (row.decision) ticket.decision = row.decision;
  ticket.state = row.escalated ? "escalating" : "done";
  return ticket;
}

/** End a tally: a ticket that has no last row will not get one. */
export function end(tally, why) {
  tally.stopped = why;
  for (const ticket of tally.tickets.values()) {
    if (ticket.state === "waiting" || ticket.state === "escalating") {
      ticket.state = "error";
      ticket.error = { type: "no row", message: why };
    }
  }
}

/** Return the totals of a tally; agreement is with the decisions of `reference`, in category and priority, where both are done. */
export function totals(tally, reference) {
  const all = [...tally.tickets.values()];
  const done = all.filter((ticket) => ticket.state === "done");
  const pairs = [...tally.tickets].map(([id, ticket]) => [ticket, reference.tickets.get(id)]).filter(([one, other]) => one.state === "done" && other?.state === "done");
  return {
    n: all.length,
    done: done.length,
    errors: all.filter((ticket) => ticket.state === "error").length,
    escalated: all.filter((ticket) => ticket.escalated).length,
    usd: all.reduce((sum, ticket) => sum + ticket.usd, 0),
    complete: tally.complete,
    meanMs: done.length ? done.reduce((sum, ticket) => sum + ticket.latencyMs, 0) / done.length : null,
    agree: pairs.filter(([one, other]) => same(one.decision, other.decision)).length,
    pairs: pairs.length,
  };
}

/** Say whether two decisions send a ticket to the same place with the same priority. */
export const same = (one, other) => Boolean(one && other) && one.category === other.category && one.priority === other.priority;
