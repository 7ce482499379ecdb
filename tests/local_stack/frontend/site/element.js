// Builds elements; text goes in as text, never as HTML.

export function element(name, { className, text, attributes = {}, onClick } = {}, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (onClick) made.addEventListener("click", onClick);
  made.append(...children);
  return made;
}

export const byId = (id) => document.getElementById(id);

export function showBadge(badge, [text, tone]) {
  badge.textContent = text;
  badge.dataset.tone = tone;
}
