// Times, counts and sentences as people read them.

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'long' });
const dayOfYear = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long' });
const dayAndYear = new Intl.DateTimeFormat(undefined, { dateStyle: 'long' });
const shortDay = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

const DAY_MS = 86_400_000;

/** Every zone's midnight is at a whole quarter of an hour. */
const QUARTER_MS = 15 * 60_000;
const days = new Map();

export function dayKey(at) {
  const quarter = Math.floor(at / QUARTER_MS);
  let key = days.get(quarter);
  if (key === undefined) {
    if (days.size >= 10_000) days.clear();
    key = new Date(at).toDateString();
    days.set(quarter, key);
  }
  return key;
}

export function time(at) {
  return clock.format(at);
}

export function fullTime(at) {
  return full.format(at);
}

export function day(at, now = Date.now()) {
  const ago = daysAgo(at, now);
  if (ago === 0) return 'Today';
  if (ago === 1) return 'Yesterday';
  if (ago < 7) return weekday.format(at);
  return new Date(at).getFullYear() === new Date(now).getFullYear()
    ? dayOfYear.format(at)
    : dayAndYear.format(at);
}

/** As short as the list of conversations needs it. */
export function when(at, now = Date.now()) {
  return daysAgo(at, now) === 0 ? time(at) : shortDay.format(at);
}

export function lastSeen(ms, now = Date.now()) {
  if (!ms) return 'offline';
  const minutes = Math.floor((now - ms) / 60_000);
  if (minutes < 1) return 'last seen just now';
  if (minutes < 60) return `last seen ${minutes} min ago`;
  return daysAgo(ms, now) === 0 ? `last seen at ${time(ms)}` : `last seen ${shortDay.format(ms)}`;
}

export function count({ count: number, more }) {
  return more || number > 99 ? `${Math.min(number, 99)}+` : String(number);
}

export function names(users, me) {
  const shown = users.map((user) => (user === me ? 'you' : user));
  if (shown.length <= 1) return shown.join('');
  return `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`;
}

/** A membership change as a sentence. */
export function changeText(sender, change, me) {
  const who = sender === me ? 'You' : sender;
  const whom = (user) => (user === me ? 'you' : user);
  if (change === 'leave') return `${who} left`;
  if (change?.create) return `${who} created the group “${change.create.title}”`;
  if (change?.rename) return `${who} named the group “${change.rename.title}”`;
  if (change?.add) return `${who} added ${names(change.add.users, me)}`;
  if (change?.remove) return `${who} removed ${whom(change.remove.user)}`;
  if (change?.role) return `${who} made ${whom(change.role.user)} ${withArticle(change.role.role)}`;
  return `${who} changed the group`;
}

function withArticle(role) {
  if (role === 'owner') return 'the owner';
  return role === 'admin' ? 'an admin' : 'a member';
}

/** A row in one line. */
export function preview(row, conversation, me) {
  if (!row) return conversation.kind === 'direct' ? 'Say hello' : '';
  if (row.kind === 'notice') return changeText(row.sender, row.change, me);
  const text = rowText(row);
  if (row.sender === me) return `You: ${text}`;
  return conversation.kind === 'group' ? `${row.sender}: ${text}` : text;
}

export function rowText(row) {
  if (row.deleted) return 'Message deleted';
  return row.opaque ? 'Encrypted message' : row.text;
}

export function typingText(conversation) {
  const users = [...conversation.typing.keys()];
  if (users.length === 0) return '';
  if (conversation.kind === 'direct') return 'typing…';
  return users.length > 2
    ? `${users.length} people are typing…`
    : `${names(users)} ${users.length > 1 ? 'are' : 'is'} typing…`;
}

function daysAgo(at, now) {
  const start = (time) => new Date(time).setHours(0, 0, 0, 0);
  return Math.round((start(now) - start(at)) / DAY_MS);
}
