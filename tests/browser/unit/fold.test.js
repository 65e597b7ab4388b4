import assert from 'node:assert/strict';
import { test } from 'node:test';

import { fold } from '../../../darda-server/page/js/fold.js';

let last = 0;
const entry = (type, sender, fields) => {
  last += 1;
  const position = last * 1000;
  return { entry: `e${last}`, position, sender, client_id: `c${last}`, type, ...fields };
};
const message = (sender, text) => entry('message', sender, { text });

test('an edit by the sender changes the text, one by another does not', () => {
  const first = message('bob', 'helo');
  const rows = fold(
    [
      first,
      entry('edit', 'eve', { target: first.entry, text: 'forged' }),
      entry('edit', 'bob', { target: first.entry, text: 'hello' }),
    ],
    [],
    'alice',
  );
  assert.equal(rows.length, 1);
  assert.equal(rows[0].text, 'hello');
  assert.equal(rows[0].edited, true);
});

test('nothing changes a deleted message any more', () => {
  const first = message('bob', 'hello');
  const on = { target: first.entry };
  const [row] = fold(
    [
      first,
      entry('react', 'alice', { ...on, reaction: '👍' }),
      entry('delete', 'bob', on),
      entry('edit', 'bob', { ...on, text: 'again' }),
      entry('react', 'alice', { ...on, reaction: '👍' }),
    ],
    [],
    'alice',
  );
  assert.equal(row.deleted, true);
  assert.equal(row.text, '');
  assert.equal(row.reactions.size, 0);
});

test('the same reaction by the same user counts once and can be taken back', () => {
  const first = message('bob', 'hello');
  const react = (type, user) => entry(type, user, { target: first.entry, reaction: '👍' });
  const entries = [
    first,
    react('react', 'alice'),
    react('react', 'alice'),
    react('react', 'carol'),
  ];
  assert.deepEqual([...fold(entries, [], 'alice')[0].reactions.get('👍')], ['alice', 'carol']);
  entries.push(react('unreact', 'alice'), react('unreact', 'carol'));
  assert.equal(fold(entries, [], 'alice')[0].reactions.size, 0);
});

test('what waits is shown as if it were done, after what the log holds', () => {
  const first = message('alice', 'hello');
  const waiting = [
    { cmd: 'edit', clientId: 'w1', fields: { target: first.entry, text: 'hi' }, at: 1 },
    { cmd: 'send', clientId: 'w2', fields: { text: 'next', reply_to: first.entry }, at: 2 },
    { cmd: 'send', clientId: 'w3', fields: { text: 'bad' }, at: 3, failure: 'too long' },
  ];
  const rows = fold([first], waiting, 'alice');
  assert.deepEqual(
    rows.map(({ text, state }) => [text, state]),
    [
      ['hi', 'sent'],
      ['next', 'waiting'],
      ['bad', 'failed'],
    ],
  );
  assert.equal(rows[1].replyTo, first.entry);
});

test('a message keeps its key when it moves from the outbox into the log', () => {
  const sent = { ...message('alice', 'hello'), client_id: 'same' };
  const waiting = [{ cmd: 'send', clientId: 'same', fields: { text: 'hello' }, at: 1 }];
  assert.equal(fold([sent], [], 'alice')[0].key, fold([], waiting, 'alice')[0].key);
});

test('entries of unknown types and for unknown targets show nothing', () => {
  const rows = fold(
    [entry('poll', 'bob', {}), entry('edit', 'bob', { target: 'nowhere', text: 'x' })],
    [],
    'alice',
  );
  assert.deepEqual(rows, []);
});
