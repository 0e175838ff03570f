// Making elements. Text always becomes a text node, so that nothing a customer or a model wrote is ever read as HTML.

export const $ = (id) => document.getElementById(id);

/** Return a new element; `props` are attributes, and a child that is no element becomes text. */
export function el(tag, props = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Put children in place of what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
}

/** Say something in the page's live region; `tone` is "bad" for what went wrong. */
export function say(text, tone = "") {
  const status = $("status");
  status.dataset.tone = tone;
  if (status.textContent !== text) status.textContent = text;
}
