// A group's members, and what those who may do so change about them.

import { avatar, el } from './dom.js';
import { askForm, namesIn, openDialog, sentence, textField } from './dialogs.js';

const RANK = { owner: 0, admin: 1, member: 2 };

export class MembersView {
  #chat;
  #conversation = null;
  #dialog = null;
  #content = null;
  #shown = '';

  constructor(chat) {
    this.#chat = chat;
  }

  open(conversation) {
    this.#conversation = conversation;
    this.#shown = '';
    this.#content = el('div', { class: 'members' });
    const close = el(
      'button',
      { type: 'button', class: 'button', on: { click: () => this.#dialog.close() } },
      'Close',
    );
    this.#dialog = openDialog(
      conversation.name,
      [this.#content, el('div', { class: 'buttons' }, close)],
      { className: 'members-dialog' },
    );
    this.#dialog.addEventListener('close', () => {
      this.#conversation = null;
    });
    this.#chat.loadMembers(conversation).catch((error) => this.#fail(error));
    this.render();
  }

  render() {
    const conversation = this.#conversation;
    if (!conversation) return;
    if (!this.#chat.conversations.includes(conversation)) {
      this.#dialog.close();
      return;
    }
    const { members, role, name, presence } = conversation;
    const online = (members ?? []).map(({ user }) => presence.get(user)?.online ?? false);
    const state = JSON.stringify([members, role, name, online]);
    if (state === this.#shown) return;
    this.#shown = state;
    this.#dialog.querySelector('h2').textContent = name;
    const focused = document.activeElement.getAttribute?.('aria-label');
    this.#content.replaceChildren(...this.#parts(conversation));
    if (document.activeElement === document.body) this.#refocus(focused);
  }

  #refocus(label) {
    const again = label && this.#content.querySelector(`[aria-label="${CSS.escape(label)}"]`);
    (again ?? this.#dialog.querySelector('button'))?.focus();
  }

  #parts(conversation) {
    const { members, role } = conversation;
    if (members === null) return [el('p', { class: 'hint' }, 'Loading…')];
    const looksAfter = role !== 'member';
    const sorted = [...members].sort(
      (a, b) => RANK[a.role] - RANK[b.role] || a.user.localeCompare(b.user),
    );
    return [
      el('p', { class: 'hint' }, members.length === 1 ? '1 member' : `${members.length} members`),
      el(
        'ul',
        { class: 'member-list', 'aria-label': 'Members' },
        ...sorted.map((member) => this.#member(member, role)),
      ),
      el(
        'div',
        { class: 'member-actions' },
        looksAfter && action('Add members', () => this.#askAdd()),
        looksAfter && action('Rename', () => this.#askRename()),
        action('Leave', () => this.#askLeave(), 'button danger-text'),
      ),
      el('p', { class: 'form-error', role: 'alert', hidden: true }),
    ];
  }

  #member({ user, role }, mine) {
    const me = user === this.#chat.user;
    const online = this.#conversation.presence.get(user)?.online ?? false;
    const owner = mine === 'owner';
    const removable = !me && (owner || (mine === 'admin' && role === 'member'));
    const other = role === 'admin' ? 'member' : 'admin';
    const setRole = () => this.#change('set_role', { user, role: other });
    const remove = () => this.#change('remove', { user });
    return el(
      'li',
      { class: 'member', 'data-user': user },
      avatar(user, { online }),
      el(
        'span',
        { class: 'member-name' },
        me ? `${user} (you)` : user,
        online ? el('span', { class: 'visually-hidden' }, ', online') : null,
      ),
      role === 'member' ? null : el('span', { class: 'role' }, role),
      owner &&
        !me &&
        action(
          other === 'admin' ? 'Make admin' : 'Make member',
          setRole,
          'link',
          `Make ${user} ${other === 'admin' ? 'an admin' : 'a member'}`,
        ),
      removable && action('Remove', remove, 'link', `Remove ${user}`),
    );
  }

  async #change(cmd, fields) {
    try {
      await this.#chat.changeMembers(this.#conversation, cmd, fields);
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error) {
    const place = this.#content.querySelector('.form-error');
    if (!place) return;
    place.textContent = sentence(error.message);
    place.hidden = false;
  }

  #askAdd() {
    const conversation = this.#conversation;
    askForm({
      title: 'Add members',
      action: 'Add',
      fields: [textField('Names, with commas between them', 'users', { required: true })],
      submit: (values) =>
        this.#chat.changeMembers(conversation, 'add', { users: namesIn(values.get('users')) }),
    });
  }

  #askRename() {
    const conversation = this.#conversation;
    askForm({
      title: 'Rename the group',
      action: 'Rename',
      fields: [
        textField('Title', 'title', {
          required: true,
          maxlength: '128',
          value: conversation.title,
        }),
      ],
      submit: (values) =>
        this.#chat.changeMembers(conversation, 'rename', { title: values.get('title').trim() }),
    });
  }

  #askLeave() {
    const conversation = this.#conversation;
    askForm({
      title: `Leave ${conversation.name}?`,
      action: 'Leave',
      danger: true,
      fields: [el('p', {}, 'You will not receive its messages any more.')],
      submit: () => this.#chat.changeMembers(conversation, 'leave'),
    });
  }
}

function action(text, click, className = 'button', label = text) {
  return el(
    'button',
    { type: 'button', class: className, 'aria-label': label, on: { click } },
    text,
  );
}
