// What answers here: shown on both pages, so that no figure stands without its source.

import { get } from "./api.js";
import { $ } from "./dom.js";

/** Fetch what the service says of itself, show the source of the figures, and return it. */
export async function about() {
  const told = await get("/api/about");
  const sandbox = told.source.includes("sandbox");
  $("source").textContent = `figures: ${told.source}`;
  $("source").hidden = false;
  const dollars = (price) => `$${price.toFixed(2)}`;
  const tiers = told.tiers.map((tier) => `${tier.model}: ${dollars(tier.inputUsdPerMillion)} in and ${dollars(tier.outputUsdPerMillion)} out per million tokens (${tier.priceBasis} price)`);
  const standIns = sandbox ? " Stand-ins on this machine answer in place of these models: decisions and latencies are theirs, and say nothing about the vendors' models." : "";
  $("models").textContent = `${tiers.join("; ")}. Policy: ${told.policy.name} (${told.policy.digest}).${standIns}`;
  return told;
}
