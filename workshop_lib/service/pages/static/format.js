// Figures as people read them.

const DOLLARS = new Intl.NumberFormat("en-US", { minimumFractionDigits: 6, maximumFractionDigits: 6 });
const Z95 = 1.959964;

/** Return USD with six decimals; a cost that is a lower bound says so. */
export const usd = (amount, complete = true) => `${complete ? "" : "at least "}$${DOLLARS.format(amount)}`;

export const ms = (value) => (value === null || value === undefined ? "not reported" : `${Math.round(value).toLocaleString("en-US")} ms`);

export const percent = (share) => `${(100 * share).toFixed(1)} %`;

export const words = (name) => name.replaceAll("_", " ");

/** Return the 95 % Wilson score interval of `hits` in `n` (E. B. Wilson, 1927) as two shares. */
export function wilson(hits, n) {
  const p = hits / n;
  const z2 = Z95 * Z95;
  const middle = (p + z2 / (2 * n)) / (1 + z2 / n);
  const half = (Z95 / (1 + z2 / n)) * Math.sqrt((p * (1 - p)) / n + z2 / (4 * n * n));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}
