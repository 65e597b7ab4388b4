import assert from 'node:assert/strict';
import { test } from 'node:test';

import { MAX_ITEMS, Outbox } from '../dist/outbox.js';
import { MemoryStorage } from '../dist/storage.js';

function outbox(storage = new MemoryStorage()) {
  const said = [];
  const troubles = [];
  const on = { changed() {}, share: (it) => said.push(it), trouble: (it) => troubles.push(it) };
  const it = new Outbox(storage, on);
  let last = 0;
  const add = (conversation, text) => it.add(conversation, 'send', { text }, `c${(last += 1)}`);
  return { it, add, said, troubles, storage };
}

const settled = () => new Promise(setImmediate);
const texts = (items) => items.map(({ fields }) => fields.text);

test('a restart finds what waits, in order, and sends it as what may have been sent before', async () => {
  const { add, storage } = outbox();
  add('c1', 'one');
  add('c1', 'two');
  const { it } = outbox();
  const late = { conversation: 'c1', clientId: 'x', seq: 1, failure: null, fields: { text: 'x' } };
  it.load([...(await storage.load()).items]);
  it.take({ put: late });
  assert.deepEqual(texts(it.of('c1')), ['one', 'x', 'two']);
  assert.deepEqual(it.of('c1').map((item) => it.trying(item)), [true, false, true]);
});

test('what was never tried is not marked', () => {
  const { it, add } = outbox();
  const item = add('c1', 'one');
  assert.equal(it.trying(item), false);
  assert.equal(it.trying(item), true);
});

test('what is settled is gone, also from the storage', async () => {
  const { it, add, storage } = outbox();
  const { clientId } = add('c1', 'one');
  assert.equal(it.settle('c2', clientId), undefined);
  assert.ok(it.settle('c1', clientId));
  await settled();
  assert.equal(storage.size, 0);
});

test('a failed one does not hold up the next, and can be tried again', async () => {
  const { it, add, storage } = outbox();
  const first = add('c1', 'one');
  const second = add('c1', 'two');
  it.fail(first, 'too long');
  assert.equal(it.next('c1'), second);
  assert.equal((await storage.load()).items[0].failure, 'too long');
  it.fail(first, null);
  assert.equal(it.next('c1'), first);
});

test('a full outbox refuses', () => {
  const { add } = outbox();
  for (let at = 0; at < MAX_ITEMS; at += 1) add('c1', 'x');
  assert.throws(() => add('c1', 'x'), { code: 'outbox_full' });
});

test('a broken storage leaves an outbox that works, and is told', async () => {
  const storage = {
    put: () => Promise.reject(new Error('quota')),
    remove: () => Promise.reject(new Error('quota')),
  };
  const { it, add, troubles } = outbox(storage);
  const item = add('c1', 'one');
  await it.kept(item);
  await assert.rejects(it.stored(item), /quota/);
  assert.deepEqual(texts(it.of('c1')), ['one']);
  it.settle('c1', item.clientId);
  await settled();
  assert.equal(troubles.length, 2);
});

test('other tabs are told of an item when the storage has it, and when it is given up', async () => {
  const { it, add, said } = outbox();
  const item = add('c1', 'one');
  assert.deepEqual(said, []);
  await settled();
  assert.deepEqual(said, [{ put: item }]);
  const other = outbox().it;
  other.take(structuredClone(said[0]));
  assert.deepEqual(texts(other.of('c1')), ['one']);
  it.discard(item);
  other.take(structuredClone(said[1]));
  assert.equal(other.size, 0);
});
