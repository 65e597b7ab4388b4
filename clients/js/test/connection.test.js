import assert from 'node:assert/strict';
import { test } from 'node:test';

import { backoff } from '../dist/backoff.js';
import { Connection } from '../dist/connection.js';
import { settled, Sockets } from './support/sockets.js';

function connect(t, { random = () => 1 } = {}) {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] });
  const sockets = new Sockets();
  const heard = { online: 0, events: [], states: [] };
  const connection = new Connection(
    'ws://server/v1/ws',
    {
      online: () => {
        heard.online += 1;
      },
      event: (event) => heard.events.push(event),
      state: (state) => heard.states.push(state),
    },
    { Socket: sockets.Socket, random },
  );
  connection.start();
  return { connection, sockets, heard, tick: (ms) => t.mock.timers.tick(ms) };
}

test('the connection is online after the hello, not before', (t) => {
  const { connection, sockets } = connect(t);
  assert.equal(connection.state, 'connecting');
  assert.equal(sockets.last.protocol, 'darda.v1');
  sockets.last.hello();
  assert.equal(connection.state, 'online');
});

test('each reply ends its own command', async (t) => {
  const { connection, sockets } = connect(t);
  sockets.last.hello();
  const first = connection.request('ping', {});
  const second = connection.request('blocks', {});
  const [a, b] = sockets.last.sent;
  sockets.last.says({ id: b.id, ok: { users: [] } });
  sockets.last.says({ id: a.id, error: { code: 'invalid', message: 'no' } });
  assert.deepEqual(await second, { users: [] });
  await assert.rejects(first, { code: 'invalid', transient: false });
});

test('a lost socket ends its commands and is opened again, later each time', async (t) => {
  const { connection, sockets, heard, tick } = connect(t);
  sockets.last.hello();
  const waiting = connection.request('ping', {});
  sockets.last.drop();
  await assert.rejects(waiting, { code: 'line_lost' });
  assert.equal(connection.state, 'offline');
  for (const wait of [400, 800, 1600, 3200, 6400, 12_800, 15_000, 15_000]) {
    const { length } = sockets.opened;
    tick(wait - 1);
    assert.equal(sockets.opened.length, length, `not before ${wait} ms`);
    tick(1);
    assert.equal(sockets.opened.length, length + 1, `after ${wait} ms`);
    sockets.last.drop();
  }
  tick(15_000);
  sockets.last.hello();
  assert.equal(heard.online, 2);
  assert.equal(connection.state, 'online');
});

test('the wait before a reconnect is drawn from its upper half', () => {
  assert.equal(backoff(0, { random: () => 0 }), 200);
  assert.equal(backoff(0, { random: () => 1 }), 400);
  assert.equal(backoff(50, { random: () => 1 }), 15_000);
});

test('a user in a hurry does not wait', (t) => {
  const { connection, sockets } = connect(t);
  sockets.last.hello();
  sockets.last.drop();
  connection.hurry();
  connection.hurry();
  assert.equal(sockets.opened.length, 2);
});

test('a server that says no hello is left', (t) => {
  const { sockets, tick } = connect(t);
  tick(10_000);
  assert.notEqual(sockets.last.closedWith, null);
  tick(400);
  assert.equal(sockets.opened.length, 2);
});

test('a server that answers no ping is left; one that does is kept', async (t) => {
  const { connection, sockets, tick } = connect(t);
  sockets.last.hello(1000);
  tick(1000);
  sockets.last.says({ id: sockets.last.take('ping').id, ok: {} });
  tick(1000);
  assert.equal(connection.state, 'online');
  assert.ok(sockets.last.take('ping'));
  tick(1000);
  assert.equal(connection.state, 'offline');
});

test('a reply that does not come counts as unavailable', async (t) => {
  const { connection, sockets, tick } = connect(t);
  sockets.last.hello();
  const waiting = connection.request('members', {});
  tick(10_000);
  await assert.rejects(waiting, { code: 'unavailable', transient: true });
});

test('a question is asked again after the time that the server names', async (t) => {
  const { connection, sockets, tick } = connect(t);
  sockets.last.hello();
  const answer = connection.ask('members', { conversation: 'c' });
  await settled();
  const error = { code: 'busy', message: 'full', retry_after_ms: 500 };
  sockets.last.says({ id: sockets.last.take('members').id, error });
  await settled();
  tick(499);
  await settled();
  assert.equal(sockets.last.sent.length, 0, 'not sooner than it was asked to');
  tick(251);
  await settled();
  sockets.last.says({ id: sockets.last.take('members').id, ok: { members: [] } });
  assert.deepEqual(await answer, { members: [] });
});

test('a question outlives a lost socket', async (t) => {
  const { connection, sockets, tick } = connect(t);
  const answer = connection.ask('blocks', {});
  sockets.last.hello();
  await settled();
  assert.ok(sockets.last.take('blocks'));
  sockets.last.drop();
  tick(400);
  await settled();
  tick(0);
  sockets.last.hello();
  await settled();
  sockets.last.says({ id: sockets.last.take('blocks').id, ok: { users: [] } });
  assert.deepEqual(await answer, { users: [] });
});

test('a draining server is left for a new socket before the old one ends', async (t) => {
  const { connection, sockets, heard, tick } = connect(t, { random: () => 0.5 });
  const old = sockets.last;
  old.hello();
  const waiting = connection.request('members', {});
  old.says({ event: 'draining', reconnect_within_ms: 4000 });
  tick(999);
  assert.equal(sockets.opened.length, 1, 'the moves are spread');
  tick(1);
  assert.equal(sockets.opened.length, 2);
  assert.equal(old.closedWith, null, 'the old one stays until the new one is there');
  old.says({ event: 'typing', conversation: 'c', user: 'bob', active: true });
  assert.equal(heard.events.length, 1);

  sockets.last.hello();
  assert.equal(heard.online, 2, 'resume on the new one');
  assert.deepEqual(heard.states, ['online'], 'never offline');
  assert.equal(old.closedWith, null, 'a reply is still on its way');
  const later = connection.request('blocks', {});
  assert.ok(sockets.last.take('blocks'), 'new commands go to the new one');
  old.says({ id: old.take('members').id, ok: { members: [] } });
  assert.deepEqual(await waiting, { members: [] });
  tick(50);
  assert.equal(old.closedWith, 1000);
  old.drop(1000);
  assert.equal(connection.state, 'online');
  later.catch(() => {});
});

test('a draining server that nothing replaces is kept until it ends', (t) => {
  const { connection, sockets, tick } = connect(t);
  const old = sockets.last;
  old.hello();
  old.says({ event: 'draining', reconnect_within_ms: 100 });
  tick(100);
  sockets.last.drop();
  assert.equal(connection.state, 'online');
  old.drop(1012);
  assert.equal(connection.state, 'offline');
  tick(2000);
  assert.ok(sockets.opened.length >= 3);
});

test('who is not let in does not try again', async (t) => {
  const { connection, sockets, tick } = connect(t);
  const answer = connection.ask('blocks', {});
  sockets.last.drop(4401);
  tick(60_000);
  assert.equal(connection.state, 'refused');
  assert.equal(sockets.opened.length, 1);
  await assert.rejects(answer, { code: 'stopped' });
});

test('a connection that was stopped stays so', async (t) => {
  const { connection, sockets, tick } = connect(t);
  sockets.last.hello();
  connection.stop();
  sockets.last.drop(1000);
  tick(60_000);
  assert.equal(sockets.opened.length, 1);
  await assert.rejects(connection.ask('ping', {}), { code: 'stopped' });
});
