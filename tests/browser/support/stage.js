// What most tests begin with: a server, a browser, and people; all gone at the end of the test.

import { after, before } from 'node:test';

import { launch, Person } from './people.js';
import { startProxy } from './proxy.js';
import { startServer } from './server.js';

/** For the tests of one file. `at(t, name)` brings somebody to the page; `prepare` runs first. */
export function stage({ settings, prepare } = {}) {
  const it = {};
  before(async () => {
    it.server = await startServer(settings);
    it.browser = await launch();
    await prepare?.(it);
  });
  after(async () => {
    await it.browser?.close();
    await it.server?.stop();
  });
  it.at = (t, name, { through, ...options } = {}) => arrive(t, it, name, through, options);
  it.network = async (t) => {
    const proxy = await startProxy(it.server.origin);
    t.after(() => proxy.stop());
    return proxy;
  };
  return it;
}

async function arrive(t, { browser, server }, name, through, options) {
  const person = await Person.at(browser, (through ?? server).origin, name, options);
  t.after(() => person.leave());
  return person;
}
