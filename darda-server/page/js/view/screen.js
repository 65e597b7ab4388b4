// The whole page of a signed-in user: puts the parts together and draws them when something changes.

import { Composer } from './composer.js';
import { askDelete, askNewChat, askNewGroup } from './dialogs.js';
import { avatar, setText } from './dom.js';
import { lastSeen, typingText } from './format.js';
import { History } from './history.js';
import { MembersView } from './members.js';
import { Sidebar } from './sidebar.js';

const TOAST_MS = 6000;

export class Screen {
  #chat;
  #sidebar;
  #history;
  #composer;
  #members;
  #app = document.querySelector('#app');
  #drawing = false;

  constructor(chat) {
    this.#chat = chat;
    this.#sidebar = new Sidebar(chat, (id) => this.#open(id));
    this.#composer = new Composer(chat, {
      back: () => this.#history.focusLast(),
      editLast: () => this.#editLast(),
      close: () => this.#close(),
    });
    this.#history = new History(chat, {
      act: (name, row, value) => this.#act(name, row, value),
      leave: () => this.#composer.focus(),
      scrolled: () => this.#look(),
    });
    this.#members = new MembersView(chat);
    this.#listen();
    this.#app.hidden = false;
    document.querySelector('#me').replaceChildren(avatar(chat.user));
    setText(document.querySelector('#me-name'), chat.user);
    this.draw();
  }

  /** Draws before the next frame, once however much has changed. */
  changed() {
    if (this.#drawing) return;
    this.#drawing = true;
    const draw = () => {
      this.#drawing = false;
      this.draw();
    };
    // A hidden page has no frames, but a title that tells of unread messages.
    if (document.hidden) setTimeout(draw, 100);
    else requestAnimationFrame(draw);
  }

  draw() {
    const { active, unread, user } = this.#chat;
    this.#app.dataset.pane = active ? 'conversation' : 'list';
    document.title = `${unread > 0 ? `(${unread > 99 ? '99+' : unread}) ` : ''}${user} · Darda`;
    document.querySelector('#nothing-open').hidden = active !== null;
    document.querySelector('#conversation').hidden = active === null;
    this.#drawBanner();
    this.#sidebar.render();
    this.#composer.render();
    this.#history.render();
    this.#drawHeader();
    this.#members.render();
    this.#look();
  }

  /** Says something to everybody: those who see and those who listen. */
  notice(text) {
    const toast = document.createElement('p');
    toast.className = 'toast';
    toast.textContent = text;
    document.querySelector('#toasts').append(toast);
    setTimeout(() => toast.remove(), TOAST_MS);
  }

  arrived(conversation, { sender, text }) {
    const where = conversation.kind === 'group' ? ` in ${conversation.name}` : '';
    document.querySelector('#announcer').textContent = `${sender}${where}: ${text}`;
  }

  #listen() {
    const on = (selector, click) =>
      document.querySelector(selector).addEventListener('click', click);
    const opened = () => {
      this.draw();
      this.#composer.focus();
    };
    on('#new-chat', () => askNewChat(this.#chat, opened));
    on('#new-group', () => askNewGroup(this.#chat, opened));
    on('#start-chat', () => askNewChat(this.#chat, opened));
    on('#back', () => this.#close());
    on('#retry-now', () => this.#chat.hurry());
    on('#header-title', () => {
      if (this.#chat.active?.kind === 'group') this.#members.open(this.#chat.active);
    });
    for (const event of ['focus', 'blur']) window.addEventListener(event, () => this.#look());
    window.addEventListener('online', () => this.#chat.hurry());
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.#chat.hurry();
      this.changed();
    });
  }

  #open(id) {
    this.#chat.open(id);
    this.draw();
    this.#composer.focus();
  }

  #close() {
    const id = this.#chat.active?.id;
    this.#chat.close();
    this.draw();
    document.querySelector(`[data-conversation="${id}"]`)?.focus();
  }

  #act(name, row, value) {
    const conversation = this.#chat.active;
    if (name === 'reply') this.#composer.reply(row);
    else if (name === 'edit') this.#composer.edit(row);
    else if (name === 'delete') this.#askDelete(conversation, row);
    else this.#react(conversation, row, value);
  }

  #react(conversation, row, reaction) {
    this.#chat.toggleReaction(conversation, row, reaction);
    this.#focusMessage(row);
  }

  #askDelete(conversation, row) {
    askDelete(
      () => this.#chat.remove(conversation, row.id),
      () => {
        this.draw();
        this.#focusMessage(row);
      },
    );
  }

  #focusMessage(row) {
    document.querySelector(`[data-entry="${row.id}"]`)?.focus({ preventScroll: true });
  }

  #editLast() {
    const row = this.#history.lastOwn;
    if (row) this.#composer.edit(row);
  }

  #look() {
    this.#chat.look(this.#history.atEnd && !document.hidden && document.hasFocus());
  }

  #drawBanner() {
    const { state } = this.#chat;
    const text = {
      offline: 'You are offline. What you write is sent when the connection is back.',
      refused: 'The server does not let you in under this name.',
    }[state];
    document.querySelector('#banner').hidden = !text;
    setText(document.querySelector('#banner-text'), text ?? '');
    document.querySelector('#retry-now').hidden = state !== 'offline';
    this.#app.dataset.state = state;
    setText(
      document.querySelector('#me-state'),
      { connecting: 'Connecting…', online: 'Online' }[state] ?? 'Offline',
    );
  }

  #drawHeader() {
    const { active } = this.#chat;
    if (!active) return;
    const group = active.kind === 'group';
    const { name } = active;
    const presence = active.presence.get(active.peer);
    const picture = document.querySelector('#header-avatar');
    const look = `${name} ${presence?.online}`;
    if (picture.dataset.look !== look) {
      picture.dataset.look = look;
      picture.replaceChildren(avatar(name, { group, online: !group && presence?.online }));
    }
    setText(document.querySelector('#header-name'), name);
    const title = document.querySelector('#header-title');
    title.disabled = !group;
    title.title = group ? 'Members' : '';
    const subtitle = document.querySelector('#header-status');
    const typing = typingText(active);
    setText(subtitle, typing || (group ? this.#groupStatus(active) : directStatus(presence)));
    subtitle.classList.toggle('is-typing', typing !== '');
  }

  #groupStatus({ members, presence }) {
    if (!members) return '';
    const online = members.filter(({ user }) => presence.get(user)?.online).length;
    const size = members.length === 1 ? '1 member' : `${members.length} members`;
    return online > 0 ? `${size}, ${online} online` : size;
  }
}

function directStatus(presence) {
  if (!presence) return '';
  return presence.online ? 'online' : lastSeen(presence.lastSeen);
}
