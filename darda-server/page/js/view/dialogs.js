// Small windows that ask for something. The browser keeps the focus inside them and closes them on
// Escape.

import { el } from './dom.js';

/** A window with a title; it is gone from the page when it is closed. */
export function openDialog(title, content, { className = '' } = {}) {
  const heading = el('h2', { id: 'dialog-title' }, title);
  const dialog = el(
    'dialog',
    { class: `dialog ${className}`, 'aria-labelledby': 'dialog-title' },
    heading,
    ...content,
  );
  const opener = document.activeElement;
  dialog.addEventListener('close', () => {
    dialog.remove();
    if (opener?.isConnected && document.activeElement === document.body) opener.focus();
  });
  dialog.addEventListener('click', (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Asks with a form. `submit(values)` may throw an error whose message is then shown; otherwise the
 * window closes and `done()` may take the focus. `fields` are elements with names inside labels.
 */
export function askForm({ title, fields, action, submit, done, danger = false }) {
  const error = el('p', { class: 'form-error', role: 'alert', hidden: true });
  const go = el('button', { class: danger ? 'button danger' : 'button primary' }, action);
  const cancel = el('button', { type: 'button', class: 'button' }, 'Cancel');
  const form = el('form', {}, ...fields, error, el('div', { class: 'buttons' }, cancel, go));
  const dialog = openDialog(title, [form]);
  cancel.addEventListener('click', () => dialog.close());
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    go.disabled = true;
    try {
      await submit(new FormData(form));
      dialog.close();
      done?.();
    } catch (failure) {
      error.textContent = sentence(failure.message);
      error.hidden = false;
      go.disabled = false;
    }
  });
  return dialog;
}

export function textField(label, name, attributes = {}) {
  const input = el('input', {
    name,
    type: 'text',
    autocomplete: 'off',
    spellcheck: 'false',
    ...attributes,
  });
  return el('label', { class: 'field' }, el('span', {}, label), input);
}

export function askNewChat(chat, done) {
  askForm({
    done,
    title: 'New chat',
    action: 'Open',
    fields: [textField('Name', 'user', { required: true, maxlength: '64' })],
    submit: (values) => chat.openDirect(values.get('user').trim()),
  });
}

export function askNewGroup(chat, done) {
  askForm({
    done,
    title: 'New group',
    action: 'Create group',
    fields: [
      textField('Title', 'title', { required: true, maxlength: '128' }),
      textField('Members, with commas between them', 'members', { placeholder: 'bob, carol' }),
      el(
        'label',
        { class: 'check' },
        el('input', { type: 'checkbox', name: 'beginning', checked: true }),
        el('span', {}, 'Those who join later see earlier messages'),
      ),
    ],
    submit: (values) => {
      const history = values.get('beginning') ? 'beginning' : 'joining';
      return chat.createGroup(values.get('title').trim(), namesIn(values.get('members')), history);
    },
  });
}

export function askDelete(remove, done) {
  askForm({
    done,
    title: 'Delete this message?',
    action: 'Delete',
    danger: true,
    fields: [el('p', {}, 'It goes for everyone in this conversation.')],
    submit: remove,
  });
}

/** Names in a text with commas; doubles and empty ones left out. */
export function namesIn(text) {
  return [
    ...new Set(
      text
        .split(',')
        .map((name) => name.trim())
        .filter(Boolean),
    ),
  ];
}

/** A server's message starts small and ends without a stop. */
export function sentence(message) {
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}`;
}
