// Building elements. Text goes in as text nodes only: nothing a user wrote is ever read as HTML.

const SVG = 'http://www.w3.org/2000/svg';

/** `props`: `class`, `on` (listeners by event), anything else as an attribute; `true` is empty. */
export function el(tag, { on = {}, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, '');
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  element.append(...children.filter((child) => child != null && child !== false));
  return element;
}

/** One of the page's symbols; it says nothing to a screen reader unless it is labelled. */
export function icon(name, label) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', `icon icon-${name}`);
  if (label) {
    svg.setAttribute('role', 'img');
    svg.setAttribute('aria-label', label);
  } else {
    svg.setAttribute('aria-hidden', 'true');
  }
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A button that is only a symbol. */
export function iconButton(name, label, click, attributes = {}) {
  return el(
    'button',
    {
      type: 'button',
      class: 'icon-button',
      'aria-label': label,
      title: label,
      on: { click },
      ...attributes,
    },
    icon(name),
  );
}

/** Sets an attribute only when it changes. */
export function setAttribute(element, name, value) {
  if (value == null || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const HUES = 8;

/** A round with the first letter, in a colour that stays the same for a name. */
export function avatar(name, { group = false, online = false } = {}) {
  const hue =
    [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 9973, 7) % HUES;
  const letter = [...name.trim()][0]?.toUpperCase() ?? '?';
  const shape = group ? ' is-group' : '';
  const presence = online ? ' is-online' : '';
  return el(
    'span',
    { class: `avatar hue-${hue}${shape}${presence}`, 'aria-hidden': 'true' },
    letter,
  );
}

/**
 * Keeps a parent's children as `items` say: one node each, found again by its key, made by `make`
 * and brought up to date by `update`. Nodes that stay where they are are not touched.
 */
export class KeyedChildren {
  #parent;
  #make;
  #update;
  #nodes = new Map();

  constructor(parent, make, update) {
    this.#parent = parent;
    this.#make = make;
    this.#update = update;
  }

  get(key) {
    return this.#nodes.get(key);
  }

  show(items) {
    const focused = document.activeElement;
    const keys = new Set(items.map(({ key }) => key));
    for (const [key, node] of this.#nodes) {
      if (keys.has(key)) continue;
      node.remove();
      this.#nodes.delete(key);
    }
    let next = this.#parent.firstElementChild;
    for (const item of items) {
      let node = this.#nodes.get(item.key);
      if (!node) {
        node = this.#make(item);
        this.#nodes.set(item.key, node);
      }
      this.#update(node, item);
      if (node === next) next = next.nextElementSibling;
      else this.#parent.insertBefore(node, next);
    }
    // A node that was moved has lost the focus it had.
    if (focused !== document.activeElement && this.#parent.contains(focused)) {
      focused.focus({ preventScroll: true });
    }
  }
}
