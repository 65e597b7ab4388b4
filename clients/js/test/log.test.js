import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Log, MAX_AHEAD } from '../dist/log.js';

const entry = (position, prev, id = `e${position}`) => ({
  entry: id,
  position,
  prev,
  sender: 'bob',
});
const positions = (log) => log.entries.map(({ position }) => position);

const given = (log) => log.take().map(({ entry: { entry: id }, how }) => `${how} ${id}`);

/** A log that holds 10, 20, 30 and misses nothing. */
function whole() {
  const log = new Log();
  log.attached({ entries: [entry(10, 5), entry(20, 10), entry(30, 20)], complete: true, head: 30 });
  return log;
}

test('the first attach sets the cursor to its last entry', () => {
  const log = whole();
  assert.equal(log.cursor, 30);
  assert.equal(log.broken, false);
  assert.equal(log.started, false);
});

test('the first attach of an empty log holds its beginning', () => {
  const log = new Log();
  log.attached({ entries: [], complete: true });
  assert.equal(log.cursor, 0);
  assert.equal(log.started, true);
});

test('an entry whose prev is the cursor moves it', () => {
  const log = whole();
  assert.equal(log.receive(entry(40, 30)), true);
  assert.equal(log.cursor, 40);
});

test('an entry that comes twice is held once', () => {
  const log = whole();
  assert.equal(log.receive(entry(20, 10)), false);
  assert.deepEqual(positions(log), [10, 20, 30]);
});

test('an entry whose prev is not the cursor breaks the log and keeps the cursor', () => {
  const log = whole();
  log.receive(entry(50, 40));
  assert.equal(log.cursor, 30);
  assert.equal(log.broken, true);
  assert.deepEqual(positions(log), [10, 20, 30, 50]);
});

test('an entry without prev breaks the log', () => {
  const log = whole();
  log.receive(entry(40, null));
  assert.equal(log.broken, true);
});

test('the missing entry moves the cursor past those that came before it', () => {
  const log = whole();
  log.receive(entry(60, 50));
  log.receive(entry(50, 40));
  log.receive(entry(40, 30));
  assert.equal(log.cursor, 60);
  assert.equal(log.broken, false);
  assert.deepEqual(positions(log), [10, 20, 30, 40, 50, 60]);
});

test('a complete attach moves the cursor to its last entry and along those ahead', () => {
  const log = whole();
  log.receive(entry(60, 50));
  log.attached({ entries: [entry(40, null), entry(50, 40)], complete: true, head: 60 });
  assert.equal(log.cursor, 60);
});

test('an attach with a gap leaves the cursor until the pages between have come', () => {
  const log = whole();
  log.attached({ entries: [entry(90, 80)], complete: false, gap: { after: 30, before: 90 } });
  assert.equal(log.cursor, 30);
  assert.equal(log.broken, true);
  log.pageAfter(30, { entries: [entry(40, 30), entry(50, 40)] });
  assert.equal(log.cursor, 50);
  assert.equal(log.broken, true);
  log.pageAfter(50, { entries: [entry(80, 50)] });
  assert.equal(log.cursor, 90);
  assert.equal(log.broken, false);
});

test('a page that does not begin at the cursor does not move it', () => {
  const log = whole();
  log.pageAfter(60, { entries: [entry(70, 60)] });
  assert.equal(log.cursor, 30);
});

test('an entry that came late takes its place and leaves the cursor', () => {
  const log = whole();
  log.receive(entry(25, 20));
  assert.equal(log.cursor, 30);
  assert.deepEqual(positions(log), [10, 20, 25, 30]);
});

test('an entry older than all that is held is left to scrolling', () => {
  const log = whole();
  assert.equal(log.receive(entry(3, 1)), false);
  assert.deepEqual(positions(log), [10, 20, 30]);
});

test('the same entry at another position replaces the first', () => {
  const log = whole();
  log.receive(entry(40, 30, 'e20'));
  assert.deepEqual(positions(log), [10, 30, 40]);
  assert.equal(log.entries.at(-1).entry, 'e20');
});

test('of two entries at one position both are held until one is withdrawn', () => {
  for (const loser of ['e30', 'other']) {
    const log = whole();
    log.take();
    log.receive(entry(30, 20, 'other'));
    assert.deepEqual(positions(log), [10, 20, 30, 30]);
    assert.deepEqual(given(log), ['late other']);
    log.withdraw(loser, 30, null);
    assert.deepEqual(positions(log), [10, 20, 30]);
    assert.equal(log.has(loser), false);
  }
});

test('a page of history goes before what is held, and its end is the beginning', () => {
  const log = whole();
  log.pageBefore(10, { entries: [entry(3, 2), entry(5, 3)], more: true });
  assert.deepEqual(positions(log), [3, 5, 10, 20, 30]);
  assert.equal(log.started, false);
  log.pageBefore(3, { entries: [entry(2, null)], more: false });
  assert.equal(log.started, true);
  assert.equal(log.cursor, 30);
});

test('a page of history that was asked for before something changed is dropped', () => {
  const log = whole();
  log.pageBefore(20, { entries: [entry(1, null)], more: false });
  assert.deepEqual(positions(log), [10, 20, 30]);
  assert.equal(log.started, false);
});

test('what came live before the first attach stays if it leaves no hole', () => {
  const log = new Log();
  log.receive(entry(40, 30));
  log.receive(entry(4, 3));
  log.attached({ entries: [entry(20, 10), entry(30, 20)], complete: true, head: 30 });
  assert.deepEqual(positions(log), [20, 30, 40]);
  assert.equal(log.cursor, 40);
});

test('a withdrawn entry is taken out where it stood, and the cursor stays', () => {
  const log = whole();
  assert.equal(log.withdraw('e30', 30, null), false);
  assert.deepEqual(positions(log), [10, 20]);
  assert.equal(log.cursor, 30);
  log.receive(entry(40, 30));
  assert.equal(log.cursor, 40);
});

test('a withdrawn entry that stands elsewhere is to be fetched if it is not held there', () => {
  const log = whole();
  assert.equal(log.withdraw('e30', 30, 20), true);
  assert.equal(whole().withdraw('e30', 30, 4), false, 'scrolling will find it');
  const moved = whole();
  moved.receive(entry(40, 30, 'e30'));
  assert.equal(moved.withdraw('e30', 30, 40), false, 'it is held there');
  assert.deepEqual(positions(moved), [10, 20, 40]);
});

test('a head beyond the cursor is behind, until an attach said that this is all', () => {
  const log = whole();
  assert.equal(log.isBehind(30), false);
  assert.equal(log.isBehind(35), true);
  log.attached({ entries: [], complete: true, head: 35 });
  assert.equal(log.cursor, 30);
  assert.equal(log.isBehind(35), false);
});

test('a log that starts again holds the newest page alone', () => {
  const log = whole();
  log.restart({ entries: [entry(900, 890), entry(910, 900)], head: 910 });
  assert.deepEqual(positions(log), [900, 910]);
  assert.equal(log.cursor, 910);
  assert.equal(log.started, false);
});

test('a closed conversation keeps its newest entries', () => {
  const log = whole();
  log.keepNewest(2);
  assert.deepEqual(positions(log), [20, 30]);
  assert.equal(log.cursor, 30);
  assert.equal(log.has('e10'), false);
});

test('what is beyond the cursor is never forgotten for room', () => {
  const log = whole();
  log.receive(entry(50, 40));
  log.receive(entry(60, 50));
  log.keepNewest(1);
  assert.deepEqual(positions(log), [50, 60]);
  log.receive(entry(40, 30));
  assert.deepEqual(positions(log), [40, 50, 60], 'and what was missing still finds its place');
  assert.equal(log.cursor, 60);
});

test('entries are given in order, once, and none beyond a gap', () => {
  const log = whole();
  assert.deepEqual(given(log), ['next e10', 'next e20', 'next e30']);
  log.receive(entry(50, 40));
  assert.deepEqual(given(log), []);
  log.receive(entry(40, 30));
  log.receive(entry(40, 30));
  log.receive(entry(50, 40));
  assert.deepEqual(given(log), ['next e40', 'next e50']);
  log.receive(entry(45, 40));
  assert.deepEqual(given(log), ['late e45']);
});

test('an entry that was given and stands somewhere else now is not given again but said to have moved', () => {
  const log = whole();
  log.take();
  log.receive(entry(40, 30, 'e20'));
  assert.deepEqual(given(log), ['moved e20']);
});

test('a log that begins at a kept cursor is given what comes after, and nothing before', () => {
  const log = new Log();
  log.begin(30);
  log.receive(entry(20, 10));
  log.receive(entry(30, 20));
  assert.deepEqual(given(log), []);
  log.attached({ entries: [entry(40, 30)], complete: true, head: 40 });
  assert.deepEqual(given(log), ['next e40']);
  log.pageBefore(40, { entries: [entry(20, 10), entry(30, 20)], more: true });
  assert.deepEqual(positions(log), [20, 30, 40]);
  assert.deepEqual(given(log), [], 'history is not given');
});

test('a page that an attach leaves incomplete moves the cursor to where the gap begins', () => {
  const log = whole();
  log.attached({ entries: [entry(40, 30), entry(50, null)], complete: false, gap: { after: 50 } });
  assert.equal(log.cursor, 50);
});

test('a first page with a hole is what comes after the hole', () => {
  const log = new Log();
  const gap = { after: 20, before: 50 };
  log.attached({ entries: [entry(10, 5), entry(20, 10), entry(50, 40)], complete: false, gap });
  assert.deepEqual(positions(log), [50]);
  assert.equal(log.started, false);
});

test('beyond a gap there is room for so many entries, and what is left out is fetched', () => {
  const log = whole();
  for (let at = 0; at < MAX_AHEAD + 10; at += 1) log.receive(entry(100 + at, 99 + at));
  assert.equal(log.entries.length, 3 + MAX_AHEAD);
  assert.equal(log.isBehind(100 + MAX_AHEAD + 9), true);
  log.receive(entry(40, 30));
  assert.equal(log.cursor, 40, 'the one that is missing has a place');
});

test('any order of any entries with repeats ends in the same log', () => {
  const all = Array.from({ length: 40 }, (_, at) =>
    entry((at + 1) * 10, at === 0 ? null : at * 10),
  );
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = generator(seed);
    const log = new Log();
    log.attached({ entries: all.slice(0, 1), complete: true, head: 10 });
    const rest = [...all.slice(1), ...all.slice(1).filter(() => random() < 0.3)];
    rest.sort(() => random() - 0.5);
    for (const it of rest) log.receive(it);
    assert.deepEqual(log.entries, all, `seed ${seed}`);
    assert.equal(log.cursor, 400, `seed ${seed}`);
    assert.deepEqual(
      log.take().map((it) => it.entry),
      all,
      `given once and in order: seed ${seed}`,
    );
  }
});

function generator(seed) {
  let state = seed;
  return () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state / 2147483648;
  };
}
