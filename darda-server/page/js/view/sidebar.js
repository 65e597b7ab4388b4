// The list of conversations.

import { avatar, el, icon, KeyedChildren, setAttribute, setText } from './dom.js';
import { count, preview, typingText, when } from './format.js';

export class Sidebar {
  #chat;
  #list = document.querySelector('#conversations');
  #empty = document.querySelector('#no-conversations');
  #search = document.querySelector('#search');
  #children;

  /** `open(id)` is called when the user picks a conversation. */
  constructor(chat, open) {
    this.#chat = chat;
    this.#children = new KeyedChildren(
      this.#list,
      ({ key }) => this.#make(key, open),
      (node, { conversation }) => this.#update(node, conversation),
    );
    this.#search.addEventListener('input', () => this.render());
    this.#list.addEventListener('keydown', (event) => this.#move(event));
  }

  render() {
    const wanted = this.#search.value.trim().toLowerCase();
    const all = this.#chat.conversations;
    const shown = all.filter(({ name }) => name.toLowerCase().includes(wanted));
    this.#children.show(shown.map((conversation) => ({ key: conversation.id, conversation })));
    this.#empty.hidden = shown.length > 0;
    const nothing = this.#chat.state === 'connecting' ? 'Connecting…' : 'No conversations yet';
    setText(this.#empty, all.length > 0 ? 'Nothing found' : nothing);
  }

  #make(id, open) {
    const button = el(
      'button',
      {
        type: 'button',
        class: 'conversation',
        'data-conversation': id,
        on: { click: () => open(id) },
      },
      el('span', { class: 'conversation-avatar' }),
      el(
        'span',
        { class: 'conversation-line' },
        el('span', { class: 'conversation-name' }),
        el('span', { class: 'conversation-time' }),
      ),
      el(
        'span',
        { class: 'conversation-line' },
        el('span', { class: 'conversation-preview' }),
        el('span', { class: 'conversation-unread' }),
      ),
    );
    return el('li', {}, button);
  }

  #update(node, conversation) {
    const button = node.firstElementChild;
    const [picture, above, below] = button.children;
    const [name, time] = above.children;
    const [line, unread] = below.children;
    const row = conversation.lastRow();
    const typing = typingText(conversation);
    const unseen = conversation.unread();

    const group = conversation.kind === 'group';
    if (picture.dataset.name !== conversation.name) {
      picture.dataset.name = conversation.name;
      picture.replaceChildren(avatar(conversation.name, { group }));
    }
    setText(name, conversation.name);
    setText(time, row ? when(row.at) : '');
    setText(line, typing || preview(row, conversation, this.#chat.user));
    line.classList.toggle('is-typing', typing !== '');
    setAttribute(button, 'aria-current', conversation === this.#chat.active ? 'true' : null);
    button.classList.toggle('has-unread', unseen.count > 0);
    if (conversation.hasFailed) {
      unread.replaceChildren(icon('alert', 'A message was not sent'));
    } else if (unseen.count > 0 || unseen.more) {
      setText(unread, count(unseen));
      setAttribute(unread, 'aria-label', `${count(unseen)} unread`);
      setAttribute(unread, 'role', 'img');
    } else {
      unread.replaceChildren();
      unread.removeAttribute('aria-label');
      unread.removeAttribute('role');
    }
  }

  /** Arrow keys go through the list as Tab does. */
  #move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const buttons = [...this.#list.querySelectorAll('button')];
    const next = buttons[buttons.indexOf(document.activeElement) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  }
}
