// Where one writes: a new message, a reply, or the new text of an old one. Each conversation keeps
// its own draft.

import { rowText } from './format.js';

const encoder = new TextEncoder();

export class Composer {
  #chat;
  #on;
  #form = document.querySelector('#composer');
  #field = document.querySelector('#text');
  #context = document.querySelector('#composer-context');
  #contextTitle = document.querySelector('#context-title');
  #contextText = document.querySelector('#context-text');
  #error = document.querySelector('#composer-error');
  #send = document.querySelector('#send');
  #drafts = new Map();
  #conversation = null;
  /** `{kind: 'reply' | 'edit', row}` */
  #about = null;

  /** `on` has `back()` for going up to the messages, `editLast()`, and `close()`. */
  constructor(chat, on) {
    this.#chat = chat;
    this.#on = on;
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#field.addEventListener('keydown', (event) => this.#key(event));
    this.#field.addEventListener('input', () => this.#changed());
    document.querySelector('#context-cancel').addEventListener('click', () => this.cancel());
  }

  render() {
    if (this.#chat.active === this.#conversation) return;
    if (this.#conversation) {
      const draft = { text: this.#field.value, about: this.#about };
      this.#drafts.set(this.#conversation.id, draft);
    }
    this.#conversation = this.#chat.active;
    if (!this.#conversation) return;
    const draft = this.#drafts.get(this.#conversation.id) ?? { text: '', about: null };
    this.#field.value = draft.text;
    this.#field.setAttribute('aria-label', `Message to ${this.#conversation.name}`);
    this.#setAbout(draft.about);
    this.#fit();
  }

  focus() {
    this.#field.focus();
  }

  reply(row) {
    if (this.#about?.kind === 'edit') this.#field.value = '';
    this.#setAbout({ kind: 'reply', row });
    this.focus();
  }

  edit(row) {
    this.#setAbout({ kind: 'edit', row });
    this.#field.value = row.text;
    this.#fit();
    this.focus();
  }

  /** Ends a reply or an edit; what was written of a reply stays. */
  cancel() {
    if (this.#about?.kind === 'edit') this.#field.value = '';
    this.#setAbout(null);
    this.#fit();
    this.focus();
  }

  #setAbout(about) {
    this.#about = about;
    this.#context.hidden = about === null;
    this.#send.setAttribute('aria-label', about?.kind === 'edit' ? 'Save' : 'Send');
    if (!about) return;
    const { kind, row } = about;
    const whom = row.own ? 'yourself' : row.sender;
    this.#contextTitle.textContent =
      kind === 'edit' ? 'Editing your message' : `Replying to ${whom}`;
    this.#contextText.textContent = rowText(row);
  }

  #submit() {
    const text = this.#field.value.trim();
    if (text === '' || !this.#conversation) return;
    const bytes = encoder.encode(text).length;
    if (bytes > this.#chat.maxTextBytes) {
      this.#error.textContent = `This is too long: ${bytes} bytes of at most ${this.#chat.maxTextBytes}.`;
      this.#error.hidden = false;
      return;
    }
    const about = this.#about;
    this.#field.value = '';
    this.#setAbout(null);
    this.#fit();
    if (about?.kind !== 'edit') this.#chat.send(this.#conversation, text, about?.row.id ?? null);
    else if (text !== about.row.text) this.#chat.edit(this.#conversation, about.row.id, text);
    this.focus();
  }

  #key(event) {
    if (event.isComposing) return;
    const empty = this.#field.value === '';
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === 'Escape') {
      event.stopPropagation();
      if (this.#about) this.cancel();
      else this.#on.close();
    } else if (event.key === 'ArrowUp' && empty && !this.#about) {
      event.preventDefault();
      if (event.ctrlKey || event.altKey) this.#on.back();
      else this.#on.editLast();
    }
  }

  #changed() {
    this.#fit();
    this.#chat.typing(this.#field.value.trim() !== '');
  }

  #fit() {
    this.#error.hidden = true;
    this.#field.style.height = 'auto';
    this.#field.style.height = `${this.#field.scrollHeight}px`;
    this.#send.disabled = this.#field.value.trim() === '';
  }
}
