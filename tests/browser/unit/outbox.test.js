import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Outbox, OutboxFull } from '../../../darda-server/page/js/outbox.js';
import { MemoryStorage } from './storage.js';

test('a reload finds what waits, in order, and knows what was tried', () => {
  const storage = new MemoryStorage();
  const before = new Outbox('alice', storage);
  const first = before.add('c1', 'send', { text: 'one' });
  before.add('c1', 'send', { text: 'two' });
  before.trying(first);

  const after = new Outbox('alice', storage);
  assert.deepEqual(
    after.of('c1').map(({ fields, tried, clientId }) => [fields.text, tried, clientId.length > 0]),
    [
      ['one', true, true],
      ['two', false, true],
    ],
  );
  assert.equal(after.next('c1').clientId, first.clientId);
});

test('users of one browser do not see what waits for another', () => {
  const storage = new MemoryStorage();
  new Outbox('alice', storage).add('c1', 'send', { text: 'one' });
  assert.deepEqual(new Outbox('bob', storage).conversations, []);
});

test('what is settled is gone, also from the storage', () => {
  const storage = new MemoryStorage();
  const outbox = new Outbox('alice', storage);
  const { clientId } = outbox.add('c1', 'send', { text: 'one' });
  assert.equal(outbox.settle('c2', clientId), false);
  assert.equal(outbox.settle('c1', clientId), true);
  assert.equal(storage.size, 0);
});

test('a failed one does not hold up the next, and can be tried again', () => {
  const outbox = new Outbox('alice', new MemoryStorage());
  const first = outbox.add('c1', 'send', { text: 'one' });
  const second = outbox.add('c1', 'send', { text: 'two' });
  outbox.failed(first, 'too long');
  assert.equal(outbox.next('c1'), second);
  outbox.retry(first.clientId);
  assert.equal(outbox.next('c1'), first);
});

test('a full outbox refuses', () => {
  const outbox = new Outbox('alice', new MemoryStorage());
  for (let at = 0; at < 500; at += 1) outbox.add('c1', 'send', { text: 'x' });
  assert.throws(() => outbox.add('c1', 'send', { text: 'x' }), OutboxFull);
});

test('a broken or forbidden storage leaves an outbox that works', () => {
  const broken = { getItem: () => '{', setItem: () => assert.fail(), removeItem: () => {} };
  const outbox = new Outbox('alice', broken);
  broken.setItem = () => {
    throw new Error('quota');
  };
  outbox.add('c1', 'send', { text: 'one' });
  assert.equal(outbox.of('c1').length, 1);
});
