// What one can do with a message: a toolbar that goes to the message under the pointer or in focus.
// There is one for all, so that a long history stays light.

import { el, iconButton } from './dom.js';

const REACTIONS = ['👍', '❤️', '😂', '😮', '😢', '🎉'];

export class Actions {
  /** The message it stands at. */
  row = null;

  #act;
  #bar = el('div', { class: 'actions', role: 'toolbar', 'aria-label': 'Message actions' });

  /** `act(name, row, value)`: `react` with the reaction, `reply`, `edit`, `delete`. */
  constructor(act) {
    this.#act = act;
    this.#bar.addEventListener('keydown', (event) => this.#key(event));
  }

  get focused() {
    return this.#bar.contains(document.activeElement);
  }

  /** Stands at this row and offers what `can` allows; at none if there is nothing to offer. */
  at(node, row, can) {
    const offers = JSON.stringify([row.key, can, [...row.reactions].map(([r, u]) => [r, [...u]])]);
    if (this.#bar.parentElement === node && this.#bar.offers === offers) return;
    const focusOn =
      this.focused && this.#bar.parentElement === node ? document.activeElement.dataset.do : null;
    this.#bar.offers = offers;
    this.row = row;
    this.#bar.replaceChildren(...this.#buttons(row, can));
    if (this.#bar.parentElement !== node) node.append(this.#bar);
    if (focusOn) this.#bar.querySelector(`[data-do="${focusOn}"]`)?.focus();
  }

  leave() {
    this.#bar.remove();
    this.row = null;
  }

  /** Puts the focus on the first button. */
  focus() {
    this.#bar.querySelector('button')?.focus();
  }

  #buttons(row, can) {
    const button = (name, label) =>
      iconButton(name, label, () => this.#do(name, row), { 'data-do': name });
    return [
      can.react &&
        iconButton('react', 'React', () => this.#unfold(row), {
          'data-do': 'react',
          'aria-haspopup': 'true',
          'aria-expanded': 'false',
        }),
      can.reply && button('reply', 'Reply'),
      can.edit && button('edit', 'Edit'),
      can.delete && button('delete', 'Delete'),
    ].filter(Boolean);
  }

  #do(name, row, value) {
    this.#act(name, row, value);
  }

  #unfold(row) {
    const open = this.#bar.querySelector('.reaction-choices');
    this.#bar.querySelector('[data-do="react"]').setAttribute('aria-expanded', String(!open));
    if (open) {
      open.remove();
      return;
    }
    const choices = REACTIONS.map((reaction) => {
      const mine = row.reactions.get(reaction)?.has(row.me) ?? false;
      return el(
        'button',
        {
          type: 'button',
          'aria-pressed': String(mine),
          'aria-label': `React with ${reaction}`,
          on: { click: () => this.#do('react', row, reaction) },
        },
        reaction,
      );
    });
    const group = el(
      'div',
      { class: 'reaction-choices', role: 'group', 'aria-label': 'Reactions' },
      ...choices,
    );
    this.#bar.append(group);
    group.firstElementChild.focus();
  }

  #key(event) {
    const open = this.#bar.querySelector('.reaction-choices');
    if (event.key === 'Escape' && open) {
      open.remove();
      const react = this.#bar.querySelector('[data-do="react"]');
      react.setAttribute('aria-expanded', 'false');
      react.focus();
      event.stopPropagation();
      return;
    }
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const within = open?.contains(document.activeElement) ? open : this.#bar;
    const buttons = [...within.querySelectorAll(':scope > button')];
    buttons.at((buttons.indexOf(document.activeElement) + step) % buttons.length).focus();
    event.preventDefault();
    event.stopPropagation();
  }
}
