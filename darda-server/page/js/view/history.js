// The messages of the open conversation: what is shown, where the reader stands in it, and the way
// through it by keyboard.

import { Actions } from './actions.js';
import { KeyedChildren } from './dom.js';
import { day, dayKey, rowText } from './format.js';
import { makeRow, showRow, tickOf } from './message.js';

/** How near the end counts as being there. */
const AT_END_PX = 48;
/** How near the beginning fetches more. */
const NEAR_START_PX = 900;
/** Messages of one sender within this time stand together. */
const TOGETHER_MS = 5 * 60_000;

export class History {
  #chat;
  #on;
  #scroller = document.querySelector('#scroller');
  #list = document.querySelector('#messages');
  #start = document.querySelector('#history-start');
  #jump = document.querySelector('#jump');
  #rows;
  #items = [];
  #byKey = new Map();
  #conversation = null;
  #atEnd = true;
  #placed = false;
  #unreadAfter = null;
  #current = null;
  #actions;

  /** `on` has `act(name, row, value)`, `leave()` to go back to writing, and `scrolled()`. */
  constructor(chat, on) {
    this.#chat = chat;
    this.#on = on;
    this.#actions = new Actions(on.act);
    this.#rows = new KeyedChildren(this.#list, makeRow, showRow);
    this.#scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => {
      if (this.#atEnd) this.toEnd();
    }).observe(this.#scroller);
    this.#jump.addEventListener('click', () => this.toEnd());
    this.#list.addEventListener('focusin', (event) => this.#focused(event));
    this.#list.addEventListener('keydown', (event) => this.#key(event));
    this.#list.addEventListener('click', (event) => this.#clicked(event));
    this.#list.addEventListener('pointerover', (event) => this.#pointed(event));
    this.#list.addEventListener('pointerleave', () => this.#unpointed());
  }

  render() {
    const conversation = this.#chat.active;
    if (conversation !== this.#conversation) this.#enter(conversation);
    if (!conversation) return;
    if (this.#unreadAfter === null && conversation.log.cursor !== null) {
      const { seen } = conversation.marks;
      this.#unreadAfter = conversation.unread().count > 0 ? seen : Infinity;
    }
    const items = this.#itemsOf(conversation);
    const ownNew =
      this.#placed &&
      items.at(-1)?.state === 'waiting' &&
      items.at(-1).key !== this.#items.at(-1)?.key;
    const anchor = this.#atEnd || ownNew ? null : this.#anchor();
    this.#items = items;
    this.#byKey = new Map(items.map((item) => [item.key, item]));
    this.#rows.show(items);
    this.#keepCurrent();
    this.#showStart(conversation);
    if (!this.#placed && conversation.log.cursor !== null) this.#place();
    else if (anchor) this.#holdTo(anchor);
    else this.toEnd();
    this.#more();
  }

  toEnd() {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#sawEnd();
  }

  /** Whether the reader has the newest message in sight. */
  get atEnd() {
    return this.#placed && this.#atEnd;
  }

  /** Puts the focus on the newest message. */
  focusLast() {
    this.#list.querySelector('.row-message[tabindex="0"]')?.focus();
  }

  /** The newest of one's own messages that can be edited. */
  get lastOwn() {
    return this.#items.findLast((item) => item.own && item.id && !item.deleted && !item.opaque);
  }

  // ---- what is shown

  #enter(conversation) {
    this.#actions.leave();
    this.#rows.show([]);
    this.#conversation = conversation;
    this.#items = [];
    this.#current = null;
    this.#placed = false;
    this.#unreadAfter = null;
    this.#atEnd = true;
    this.#jump.hidden = true;
  }

  #itemsOf(conversation) {
    const rows = conversation.rows();
    const byId = new Map(rows.map((row) => [row.id ?? row.key, row]));
    const me = this.#chat.user;
    const group = conversation.kind === 'group';
    const items = [];
    let divided = false;
    rows.forEach((row, at) => {
      const before = rows[at - 1];
      const newDay = !before || dayKey(before.at) !== dayKey(row.at);
      if (newDay) items.push({ kind: 'day', key: `day ${dayKey(row.at)}`, text: day(row.at) });
      const unread =
        !divided && row.position > this.#unreadAfter && row.sender !== me && row.kind === 'message';
      if (unread && this.#unreadAfter !== null) {
        divided = true;
        items.push({ kind: 'unread', key: 'unread', text: 'New messages' });
      }
      if (row.kind === 'notice') {
        items.push({ ...row, me });
        return;
      }
      const own = row.sender === me;
      const quoted = byId.get(row.replyTo);
      items.push({
        ...row,
        me,
        own,
        group,
        first: newDay || unread || !together(before, row),
        last: !together(row, rows[at + 1]),
        quotedSender: quoted?.sender,
        quotedText: quoted && rowText(quoted),
        tick: own ? tickOf(row, conversation) : undefined,
      });
    });
    return items;
  }

  #showStart(conversation) {
    const { log } = conversation;
    this.#start.dataset.state = log.started ? 'reached' : 'loading';
    if (log.started) {
      this.#start.textContent =
        this.#items.length > 0
          ? 'The beginning of this conversation'
          : 'No messages yet. Write the first one.';
    } else {
      this.#start.textContent =
        this.#chat.state === 'online'
          ? 'Loading earlier messages…'
          : 'Earlier messages load when you are back online.';
    }
  }

  // ---- where the reader stands

  /** At the first unread message if it is above the end. */
  #place() {
    this.#placed = true;
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    const divider = this.#rows.get('unread');
    if (divider) {
      const top = divider.offsetTop - this.#scroller.clientHeight / 4;
      if (top < this.#scroller.scrollTop) this.#scroller.scrollTop = top;
    }
    this.#measure();
  }

  #anchor() {
    const top = this.#scroller.scrollTop;
    for (const node of this.#list.children) {
      if (node.offsetTop + node.offsetHeight > top && node.classList.contains('row-message')) {
        return { node, offset: node.offsetTop - top };
      }
    }
    return null;
  }

  #holdTo({ node, offset }) {
    if (node.isConnected) {
      const top = node.offsetTop - offset;
      if (Math.abs(top - this.#scroller.scrollTop) >= 1) this.#scroller.scrollTop = top;
    }
    this.#measure();
  }

  #measure() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    if (scrollHeight - scrollTop - clientHeight <= AT_END_PX) this.#sawEnd();
    else this.#atEnd = false;
    this.#jump.hidden = this.#atEnd;
    const unseen = this.#conversation?.unread().count ?? 0;
    this.#jump.dataset.unread = unseen > 0 ? String(Math.min(unseen, 99)) : '';
    this.#jump.setAttribute(
      'aria-label',
      unseen > 0 ? `${unseen} new messages, go to the newest` : 'Go to the newest message',
    );
  }

  #sawEnd() {
    this.#atEnd = true;
    this.#jump.hidden = true;
  }

  #scrolled() {
    const before = this.#atEnd;
    this.#measure();
    this.#more();
    if (before !== this.#atEnd) this.#on.scrolled();
  }

  #more() {
    if (this.#placed && this.#scroller.scrollTop < NEAR_START_PX)
      this.#chat.loadOlder(this.#conversation);
  }

  // ---- keyboard and pointer

  #keepCurrent() {
    if (!this.#byKey.has(this.#current)) this.#current = null;
    const newest = this.#items.findLast(({ kind }) => kind === 'message')?.key ?? null;
    if (!this.#list.contains(document.activeElement)) this.#current = newest;
    this.#setCurrent(this.#current ?? newest);
    const shown = this.#actions.row;
    if (shown) this.#showActions(this.#rows.get(shown.key));
  }

  #setCurrent(key) {
    for (const node of this.#list.querySelectorAll('.row-message[tabindex="0"]')) {
      if (node.dataset.key !== key) node.setAttribute('tabindex', '-1');
    }
    this.#current = key;
    this.#rows.get(key)?.setAttribute('tabindex', '0');
  }

  #showActions(node) {
    const row = this.#byKey.get(node?.dataset.key);
    if (!row || row.kind !== 'message' || !row.id || row.deleted) {
      this.#actions.leave();
      return;
    }
    const { role, kind } = this.#conversation;
    const looksAfter = kind === 'group' && role !== 'member';
    this.#actions.at(node, row, {
      react: true,
      reply: true,
      edit: row.own && !row.opaque,
      delete: row.own || looksAfter,
    });
  }

  #focused({ target }) {
    const node = target.closest('.row-message');
    if (!node) return;
    this.#setCurrent(node.dataset.key);
    this.#showActions(node);
  }

  #pointed({ target }) {
    const node = target.closest('.row-message');
    if (node && !this.#actions.focused) this.#showActions(node);
  }

  #unpointed() {
    const focused = document.activeElement.closest?.('.row-message');
    if (focused) this.#showActions(focused);
    else this.#actions.leave();
  }

  #key(event) {
    const node = event.target.closest('.row-message');
    if (!node) return;
    if (event.key === 'Escape') {
      if (event.target === node) this.#on.leave();
      else node.focus();
      event.preventDefault();
      event.stopPropagation();
    } else if (event.key === 'Enter' && event.target === node) {
      this.#actions.focus();
      event.preventDefault();
    } else {
      this.#step(event, node);
    }
  }

  #step(event, node) {
    const messages = [...this.#list.querySelectorAll('.row-message')];
    const at = messages.indexOf(node);
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: messages.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (to >= messages.length) this.#on.leave();
    else messages[Math.max(0, to)].focus();
  }

  #clicked({ target }) {
    const node = target.closest('.row-message');
    const row = this.#byKey.get(node?.dataset.key);
    const button = target.closest('[data-goto], [data-react], [data-retry], [data-discard]');
    if (!row || !button) return;
    const { goto, react, retry, discard } = button.dataset;
    if (goto) this.#goTo(goto);
    else if (react) this.#on.act('react', row, react);
    else if (retry) this.#chat.retry(this.#conversation, retry);
    else if (discard) this.#chat.discard(this.#conversation, discard);
  }

  #goTo(entry) {
    const node = this.#list.querySelector(`[data-entry="${CSS.escape(entry)}"]`);
    if (!node) return;
    node.scrollIntoView({ block: 'center' });
    node.focus({ preventScroll: true });
  }
}

function together(a, b) {
  return (
    a?.kind === 'message' &&
    b?.kind === 'message' &&
    a.sender === b.sender &&
    b.at - a.at < TOGETHER_MS &&
    dayKey(a.at) === dayKey(b.at)
  );
}
