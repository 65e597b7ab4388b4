// Several tabs of one user in a real Chromium, against a real server: one connection, one outbox, and
// what happens when the tab that has them goes.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';

import { chromium } from 'playwright-core';

import { startProxy } from '../../../../tests/browser/support/proxy.js';
import { startServer } from '../../../../tests/browser/support/server.js';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
];
const WITHIN = { timeout: 25_000 };

let server;
let browser;
let bundle;

before(async () => {
  server = await startServer({ DARDA_RATE_LIMITS: 'off' });
  bundle = await readFile(new URL('../../dist/darda-client.js', import.meta.url), 'utf8');
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS });
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** A profile of a browser, whose network can be cut. */
async function profile(t) {
  const network = await startProxy(server.origin);
  const context = await browser.newContext();
  t.after(async () => {
    await context.close();
    await network.stop();
  });
  const sockets = [];
  context.on('page', (page) => page.on('websocket', (socket) => sockets.push(socket)));
  await context.route('**/client-under-test.js', (route) =>
    route.fulfill({ contentType: 'text/javascript', body: bundle }),
  );
  return {
    network,
    sockets,
    open: () => sockets.filter((socket) => !socket.isClosed()).length,
    tab: (user, options = {}) => openTab(context, network.origin, user, options),
  };
}

/** A tab with a client, which notes down what it is given. */
async function openTab(context, origin, user, { resume = false, tabs = true } = {}) {
  const page = await context.newPage();
  await page.goto(`${origin}/`);
  await page.evaluate(
    async ([name, resumes, share]) => {
      const { Client, IndexedDbStorage } = await import('/client-under-test.js');
      const url = `${location.origin.replace('http', 'ws')}/v1/ws?id=${name}`;
      const storage = new IndexedDbStorage(name);
      const client = new Client({
        url,
        storage,
        resume: resumes,
        ...(share ? { tabs: name } : {}),
      });
      window.given = [];
      window.client = client;
      client.on('entry', ({ text }) => window.given.push(text));
      await client.start();
    },
    [user, resume, tabs],
  );
  return new Tab(page);
}

class Tab {
  constructor(page) {
    this.page = page;
  }

  is(state) {
    return this.page.waitForFunction(
      (it) => client.status.state === it && !client.status.behind,
      state,
      WITHIN,
    );
  }

  async openDirect(user) {
    await this.is('online');
    const id = await this.page.evaluate(async (it) => (await client.openDirect(it)).id, user);
    await this.page.evaluate((it) => client.open(it).then(() => {}), id);
    return id;
  }

  follow(conversation) {
    return this.page.evaluate((it) => client.open(it).then(() => {}), conversation);
  }

  /** Puts texts into the outbox; they are stored, but may not be sent. */
  write(conversation, ...texts) {
    return this.page.evaluate(
      ([id, all]) => Promise.all(all.map((text) => client.send(id, text).stored)).then(() => {}),
      [conversation, texts],
    );
  }

  /** Waits until so many wait to be sent. */
  async waiting(conversation, count) {
    await this.page
      .waitForFunction(([id, it]) => client.outbox(id).length === it, [conversation, count], WITHIN)
      .catch(() => {});
    const now = await this.page.evaluate((id) => client.outbox(id).length, conversation);
    assert.equal(now, count, 'so many wait');
  }

  async gets(...texts) {
    await this.page
      .waitForFunction((count) => window.given.length >= count, texts.length, WITHIN)
      .catch(() => {});
    assert.deepEqual(await this.page.evaluate(() => window.given), texts);
  }
}

const numbered = (from, to) =>
  Array.from({ length: to - from + 1 }, (_, at) => `message ${from + at}`);

test('three tabs have one connection, and each is given each entry once', async (t) => {
  const bob = await profile(t);
  const alice = await (await profile(t)).tab('alice');
  const tabs = [await bob.tab('bob'), await bob.tab('bob'), await bob.tab('bob')];
  for (const tab of tabs) await tab.is('online');
  assert.equal(bob.sockets.length, 1);
  const id = await alice.openDirect('bob');
  for (const tab of tabs) await tab.openDirect('alice');
  await alice.write(id, 'one', 'two');
  await tabs[1].gets('one', 'two');
  await tabs[1].write(id, 'three');
  await tabs[2].gets('one', 'two', 'three');
  await tabs[2].write(id, 'four');
  for (const tab of [alice, ...tabs]) await tab.gets('one', 'two', 'three', 'four');
  for (const tab of tabs) await tab.waiting(id, 0);
  assert.equal(bob.sockets.length, 1);
});

test('the outbox is one: what one tab writes offline, every tab shows, and it is sent once', async (t) => {
  const dora = await profile(t);
  const carl = await (await profile(t)).tab('carl');
  const [one, two] = [await dora.tab('dora'), await dora.tab('dora')];
  const id = await carl.openDirect('dora');
  await one.openDirect('carl');
  await two.openDirect('carl');
  dora.network.cut();
  await one.is('offline');
  await two.is('offline');
  await one.write(id, 'from one');
  await two.waiting(id, 1);
  await two.write(id, 'from two');
  await one.waiting(id, 2);
  dora.network.mend();
  for (const tab of [carl, one, two]) await tab.gets('from one', 'from two');
  for (const tab of [one, two]) await tab.waiting(id, 0);
});

/** The end of the tab's process, without a word. */
async function crash({ page }) {
  const session = await page.context().newCDPSession(page);
  session.send('Page.crash').catch(() => {});
  await page.waitForEvent('crash');
}

for (const [how, end] of [
  ['is closed', (tab) => tab.page.close()],
  ['crashes', crash],
]) {
  test(`when the tab with the connection ${how} mid-way, another goes on where it was`, async (t) => {
    const key = how.replace(/\W/g, '');
    const bob = await profile(t);
    const alice = await (await profile(t)).tab(`alice-${key}`);
    const first = await bob.tab(`bob-${key}`);
    await first.is('online');
    const second = await bob.tab(`bob-${key}`);
    const id = await alice.openDirect(`bob-${key}`);
    await first.openDirect(`alice-${key}`);
    await second.openDirect(`alice-${key}`);
    await first.write(id, 'before');
    await second.gets('before');

    // From here on the server gets what is sent, but its acknowledgements are lost.
    bob.network.loseReplies();
    await first.write(id, ...numbered(1, 10));
    await second.write(id, ...numbered(11, 20));
    await alice.gets('before', 'message 1');
    await second.waiting(id, 20);
    await end(first);
    // It may call itself online for as long as it does not know that the first is gone.
    const all = ['before', ...numbered(1, 20)];
    await alice.gets(...all);
    assert.equal(bob.sockets.length, 2);
    await second.is('online');
    await second.gets(...all);
    await second.waiting(id, 0);
    await alice.write(id, 'after');
    await second.gets(...all, 'after');
  });
}

test('a tab that hangs with the connection loses it, and follows when it is back', async (t) => {
  const bob = await profile(t);
  const alice = await (await profile(t)).tab('alice-hang');
  const first = await bob.tab('bob-hang');
  await first.is('online');
  const second = await bob.tab('bob-hang');
  const id = await alice.openDirect('bob-hang');
  await first.openDirect('alice-hang');
  await second.openDirect('alice-hang');
  const hanging = first.page.evaluate(() => {
    const end = performance.now() + 16_000;
    while (performance.now() < end);
  });
  await second.write(id, 'while it hangs');
  await alice.gets('while it hangs');
  assert.equal(bob.sockets.length, 2);
  await hanging;
  await first.is('online');
  await first.gets('while it hangs');
  await second.write(id, 'and after');
  for (const tab of [alice, first, second]) await tab.gets('while it hangs', 'and after');
  assert.equal(bob.open(), 1);
});

test('what waits outlives all tabs, and a new one goes on from the stored cursor', async (t) => {
  const bob = await profile(t);
  const alice = await (await profile(t)).tab('alice-again');
  const before = await bob.tab('bob-again', { resume: true });
  const id = await alice.openDirect('bob-again');
  await before.openDirect('alice-again');
  await alice.write(id, 'one');
  await before.gets('one');
  bob.network.cut();
  await before.is('offline');
  await before.write(id, 'written offline', 'and another');
  await before.page.evaluate(() => client.stop());
  await before.page.close();
  await alice.write(id, 'two');
  await alice.gets('one', 'two');

  bob.network.mend();
  const later = await bob.tab('bob-again', { resume: true });
  await alice.gets('one', 'two', 'written offline', 'and another');
  await later.gets('two', 'written offline', 'and another');
});

test('without shared tabs each has a connection, and the storage serves both', async (t) => {
  const eve = await profile(t);
  const alone = { tabs: false };
  const [one, two] = [await eve.tab('eve', alone), await eve.tab('eve', alone)];
  const id = await one.openDirect('fay');
  await two.openDirect('fay');
  await one.write(id, 'one');
  await two.gets('one');
  await two.write(id, 'two');
  for (const tab of [one, two]) await tab.gets('one', 'two');
  assert.equal(eve.sockets.length, 2);
});
