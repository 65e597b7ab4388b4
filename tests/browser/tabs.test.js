import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Person } from './support/people.js';
import { stage } from './support/stage.js';

const here = stage();

/** A user with two tabs, whose network can be cut. */
async function twoTabs(t, name) {
  const network = await here.network(t);
  const first = await here.at(t, name, { through: network });
  const second = new Person(name, await first.page.context().newPage());
  const sockets = [];
  second.page.on('websocket', (socket) => sockets.push(socket));
  await second.page.goto(`${network.origin}/?id=${name}`);
  await second.isOnline();
  return { network, first, second, sockets };
}

test('two tabs have one connection, and both show what comes and goes', async (t) => {
  const { first, second, sockets } = await twoTabs(t, 'anton');
  const berta = await here.at(t, 'berta');
  await first.chatWith('berta');
  await first.say('from the first tab');
  await second.open('berta');
  await second.reads(['from the first tab']);
  await second.say('from the second');
  await berta.open('anton');
  await berta.say('an answer');
  for (const tab of [first, second, berta]) {
    await tab.reads(['from the first tab', 'from the second', 'an answer']);
  }
  await second.ticked('from the second', 'seen');
  assert.deepEqual(sockets, [], 'the second tab has no connection of its own');
});

test('what waits in a tab that is closed is sent by the other', async (t) => {
  const { network, first, second, sockets } = await twoTabs(t, 'caesar');
  const doris = await here.at(t, 'doris');
  await first.chatWith('doris');
  await first.say('hello');
  await second.open('doris');
  await second.reads(['hello']);
  network.cut();
  await first.isOffline();
  await first.say('written in the first tab');
  await second.ticked('written in the first tab', 'waiting');
  await first.page.close();
  network.mend();
  await doris.open('caesar');
  await doris.reads(['hello', 'written in the first tab']);
  await second.ticked('written in the first tab', 'seen');
  assert.ok(sockets.length > 0, 'the second tab has the connection now');
});
