// What one tells the others about oneself, and asks about them: how far one has received and seen,
// that one types, who is there.

const TYPING_AGAIN_MS = 3000;
const PRESENCE_EVERY_MS = 5000;
/** After a mark that was refused for good. */
const MARK_AGAIN_MS = 1000;

export class Attention {
  /** Whether the user sees the end of the open conversation: what arrives there is then seen. */
  looking = false;

  #client;
  #on;
  #marking = new Set();
  #typedAt = 0;
  #typingIn = null;
  #presence;
  #asking = false;

  /** `on` has `active()`, the open conversation, and `changed(conversation)`. */
  constructor(client, on) {
    this.#client = client;
    this.#on = on;
  }

  start() {
    this.#presence = setInterval(() => this.askPresence(), PRESENCE_EVERY_MS);
  }

  stop() {
    clearInterval(this.#presence);
  }

  /** Tells the server how far we are, at most one mark at a time in each conversation. */
  mark(conversation) {
    const { id, log, marks } = conversation;
    if (log.cursor === null) return;
    const mark = conversation === this.#on.active() && this.looking ? 'seen' : 'delivered';
    if (mark === 'seen') conversation.looked = log.cursor;
    if (conversation.toMark <= marks[mark]) return;
    if (this.#marking.has(id) || this.#client.status.state !== 'online') return;
    this.#marking.add(id);
    const position = log.cursor;
    this.#client
      .request(mark, { conversation: id, position })
      .then(() => {
        conversation.movedTo(position, mark === 'seen' ? position : 0);
        this.#marking.delete(id);
        this.#on.changed(conversation);
      })
      .catch((error) => {
        const again = () => {
          this.#marking.delete(id);
          if (error.transient) this.mark(conversation);
        };
        setTimeout(again, error.retryAfterMs ?? MARK_AGAIN_MS);
      });
  }

  /** The user writes in this conversation. */
  typing({ id }) {
    if (this.#typingIn === id && Date.now() - this.#typedAt <= TYPING_AGAIN_MS) return;
    this.#typingIn = id;
    this.#typedAt = Date.now();
    this.#tellTyping(id, true);
  }

  /** The field is empty, what was in it is sent, or the conversation is left. */
  stopTyping() {
    if (this.#typingIn !== null) this.#tellTyping(this.#typingIn, false);
    this.#typingIn = null;
  }

  /** Asked again and again while a conversation is open: there is no event for it. */
  async askPresence() {
    const conversation = this.#on.active();
    if (!conversation || this.#asking || this.#client.status.state !== 'online') return;
    this.#asking = true;
    try {
      const fields = { conversation: conversation.id };
      const { presence } = await this.#client.request('presence', fields);
      for (const { user, online, last_seen_ms: lastSeen } of presence) {
        conversation.presence.set(user, { online, lastSeen });
      }
      this.#on.changed(conversation);
    } catch {
      // The next time is near.
    } finally {
      this.#asking = false;
    }
  }

  /** Nobody needs to hear if this fails. */
  #tellTyping(conversation, active) {
    this.#client.request('typing', { conversation, active }).catch(() => {});
  }
}
