// One row of a conversation: a message, a notice, a day, or where the unread messages begin.

import { avatar, el, icon, setAttribute } from './dom.js';
import { changeText, fullTime, rowText, time } from './format.js';

const LINK = /https?:\/\/[^\s<>"]+[^\s<>".,;:!?)\]']/g;

/** An empty row of the list; `show` fills it. */
export function makeRow(item) {
  const attributes = { class: `row row-${item.kind}`, 'data-key': item.key };
  if (item.kind !== 'message') return el('li', attributes);
  return el('li', { ...attributes, tabindex: '-1' }, el('div', { class: 'message-body' }));
}

/** Brings a row up to date. What did not change is left alone, so that a selection survives. */
export function showRow(node, item) {
  if (node.shown && same(node.shown, item)) return;
  node.shown = item;
  if (item.kind === 'message') showMessage(node, item);
  else if (item.kind === 'notice')
    node.replaceChildren(el('span', {}, changeText(item.sender, item.change, item.me)));
  else node.replaceChildren(el('span', {}, item.text));
}

/** What a message has reached, as a word: it is its tick's label. */
export function tickOf(row, conversation) {
  if (row.state === 'failed') return 'failed';
  if (row.state === 'waiting') return 'waiting';
  const { delivered, seen, of } = conversation.reached(row.position);
  if (of === 0) return 'sent';
  if (seen === of) return 'seen';
  return delivered === of ? 'delivered' : 'sent';
}

const TICKS = {
  waiting: ['clock', 'Waiting to be sent'],
  failed: ['alert', 'Not sent'],
  sent: ['check', 'Sent'],
  delivered: ['checks', 'Delivered'],
  seen: ['checks', 'Seen'],
};

function same(a, b) {
  for (const name in b) {
    if (a[name] !== b[name] && !(name === 'reactions' && sameReactions(a.reactions, b.reactions))) {
      return false;
    }
  }
  return true;
}

function sameReactions(a, b) {
  if (a.size !== b.size) return false;
  const [before, now] = [a, b].map((map) => [...map].map(([it, users]) => `${it} ${[...users]}`));
  return before.join() === now.join();
}

function showMessage(node, item) {
  const { own, first, last, group, sender, state } = item;
  const classes = ['row row-message', own ? 'is-own' : 'is-other'];
  if (first) classes.push('is-first');
  if (last) classes.push('is-last');
  if (group && !own) classes.push('has-avatar');
  if (item.deleted) classes.push('is-deleted');
  if (state !== 'sent') classes.push(`is-${state}`);
  if (item.reactions.size > 0) classes.push('has-reactions');
  node.className = classes.join(' ');
  setAttribute(node, 'data-entry', item.id);
  node
    .querySelector('.message-body')
    .replaceChildren(
      ...[
        group && !own && last ? avatar(sender) : null,
        el(
          'div',
          { class: 'bubble' },
          el(
            'span',
            { class: group && !own && first ? 'sender' : 'sender visually-hidden' },
            own ? 'You' : sender,
          ),
          item.replyTo ? quote(item) : null,
          el('p', { class: 'text' }, ...textOf(item)),
          meta(item),
        ),
        item.reactions.size > 0 ? reactions(item) : null,
        state === 'failed' ? failure(item) : null,
      ].filter(Boolean),
    );
}

function textOf(item) {
  if (item.deleted || item.opaque) return [el('em', {}, rowText(item))];
  const parts = [];
  let from = 0;
  for (const { 0: link, index } of item.text.matchAll(LINK)) {
    parts.push(item.text.slice(from, index));
    parts.push(
      el('a', { href: link, target: '_blank', rel: 'noopener noreferrer', tabindex: '-1' }, link),
    );
    from = index + link.length;
  }
  parts.push(item.text.slice(from));
  return parts;
}

function quote({ quotedSender, quotedText, replyTo, me }) {
  const sender = quotedSender === me ? 'You' : quotedSender;
  return el(
    'button',
    { type: 'button', class: 'quote', tabindex: '-1', 'data-goto': replyTo },
    el('span', { class: 'visually-hidden' }, 'In reply to '),
    el('span', { class: 'quote-sender' }, sender ?? 'Earlier message'),
    el('span', { class: 'quote-text' }, quotedText ?? 'Not loaded here'),
  );
}

function meta({ at, edited, deleted, own, tick }) {
  const [name, label] = TICKS[tick] ?? [];
  return el(
    'span',
    { class: 'meta' },
    edited && !deleted ? el('span', { class: 'edited' }, 'edited') : null,
    el('time', { datetime: new Date(at).toISOString(), title: fullTime(at) }, time(at)),
    own && !deleted
      ? el('span', { class: `tick is-${tick}`, 'data-tick': tick }, icon(name, label))
      : null,
  );
}

function reactions({ reactions: map, me, id }) {
  const chips = [...map].map(([reaction, users]) => {
    const mine = users.has(me);
    const label = `${reaction} ${users.size}${mine ? ', with yours' : ''}`;
    return el(
      'button',
      {
        type: 'button',
        class: 'reaction',
        tabindex: '-1',
        'aria-pressed': String(mine),
        'aria-label': label,
        title: [...users].join(', '),
        'data-react': reaction,
        'data-target': id,
      },
      el('span', {}, reaction),
      el('span', { class: 'reaction-count' }, String(users.size)),
    );
  });
  return el('div', { class: 'reactions' }, ...chips);
}

function failure({ failure: reason, clientId }) {
  return el(
    'div',
    { class: 'failure' },
    el('span', {}, `Not sent: ${reason}`),
    el('button', { type: 'button', class: 'link', 'data-retry': clientId }, 'Try again'),
    el('button', { type: 'button', class: 'link', 'data-discard': clientId }, 'Discard'),
  );
}
