// From entries to what a reader sees: messages with their edits, reactions and deletion, and notices
// of membership changes. What waits in the outbox is shown as if it were done, and marked.

/**
 * The rows of a conversation, oldest first. A message:
 * `{kind: 'message', key, id, position, at, sender, text, replyTo, edited, deleted, reactions,
 * state, failure, clientId}`; `reactions` is a map from reaction to users, `state` is `sent`,
 * `waiting` or `failed`. A notice: `{kind: 'notice', key, position, at, sender, change}`.
 */
export function fold(entries, waiting, me) {
  const rows = [];
  const byId = new Map();
  const add = (row) => {
    rows.push(row);
    if (row.id) byId.set(row.id, row);
  };
  for (const entry of entries) {
    if (entry.type === 'message') add(sentMessage(entry));
    else if (entry.type === 'members') add(notice(entry));
    else if (entry.type === 'opaque') add({ ...sentMessage(entry), opaque: true, text: '' });
    else apply(byId.get(entry.target), entry.type, entry, entry.sender);
  }
  for (const item of waiting) {
    if (item.cmd === 'send') add(waitingMessage(item, me, rows.at(-1)?.at ?? 0));
    else if (!item.failure) apply(byId.get(item.fields.target), item.cmd, item.fields, me);
  }
  return rows;
}

/** The group's title and members after a change, for summaries that are not fetched again. */
export function titleAfter(title, change) {
  return change?.rename?.title ?? change?.create?.title ?? title;
}

function apply(row, type, { text, reaction }, sender) {
  if (!row || row.deleted) return;
  if (type === 'edit' && row.sender === sender) {
    row.text = text;
    row.edited = true;
  } else if (type === 'delete') {
    row.text = '';
    row.deleted = true;
    row.reactions.clear();
  } else if (type === 'react') {
    const users = row.reactions.get(reaction) ?? new Set();
    row.reactions.set(reaction, users.add(sender));
  } else if (type === 'unreact') {
    const users = row.reactions.get(reaction);
    users?.delete(sender);
    if (users?.size === 0) row.reactions.delete(reaction);
  }
}

function sentMessage(entry) {
  return {
    kind: 'message',
    key: `${entry.sender}\n${entry.client_id}`,
    id: entry.entry,
    position: entry.position,
    at: entry.position / 1000,
    sender: entry.sender,
    text: entry.text,
    replyTo: entry.reply_to ?? null,
    edited: false,
    deleted: false,
    reactions: new Map(),
    state: 'sent',
    failure: null,
    clientId: entry.client_id,
  };
}

/** It comes last, so its time is not before the last one's, whatever this device's clock says. */
function waitingMessage(item, me, after) {
  return {
    kind: 'message',
    key: `${me}\n${item.clientId}`,
    id: null,
    position: null,
    at: Math.max(item.at, after),
    sender: me,
    text: item.fields.text,
    replyTo: item.fields.reply_to ?? null,
    edited: false,
    deleted: false,
    reactions: new Map(),
    state: item.failure ? 'failed' : 'waiting',
    failure: item.failure,
    clientId: item.clientId,
  };
}

function notice(entry) {
  return {
    kind: 'notice',
    key: `notice\n${entry.entry}`,
    position: entry.position,
    at: entry.position / 1000,
    sender: entry.sender,
    change: entry.change,
  };
}
