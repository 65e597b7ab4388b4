// The script that makes MongoDB's replica set, run by a stand-in for mongosh: bin/mongosh.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

const mongosh = new URL("bin/mongosh", import.meta.url).pathname;
const script = new URL("../../manifests/components/mongodb/files/replica-set.js", import.meta.url).pathname;
const hostOf = (at) => `mongodb-${at}.mongodb:27017`;

/** Pods with a mongod each, of which none was ever initiated. */
function pods(test, count) {
  const folder = mkdtempSync(join(tmpdir(), "replica-set-"));
  test.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "set.json");
  const members = {};
  for (let at = 0; at < count; at++) members[hostOf(at)] = { up: true, initiated: false };
  const save = (world) => writeFileSync(path, JSON.stringify(world));
  save({ members, config: null, primary: null, users: {}, initiations: 0 });
  return {
    world: () => JSON.parse(readFileSync(path, "utf8")),
    change(how) {
      const world = this.world();
      how(world);
      save(world);
    },
    /** Runs the script beside one of them. Returns whether it is content, and what it says. */
    run(at, { replicas = count, password = "chat's" } = {}) {
      const done = spawnSync(mongosh, ["--quiet", "--norc", "--nodb", "--file", script], {
        encoding: "utf8",
        env: {
          PATH: process.env.PATH,
          SIMULATED_SET: path,
          POD: `mongodb-${at}`,
          REPLICAS: String(replicas),
          ROOT_PASSWORD: "root's",
          PASSWORD: password,
          DATABASE: "darda",
        },
      });
      return { content: done.status === 0, said: done.stdout + done.stderr };
    },
    /** Runs it beside all that are wanted until all are content. */
    settle(options = {}) {
      for (let round = 0; round < 10; round++) {
        const all = Array.from({ length: options.replicas ?? count }, (_, at) => this.run(at, options));
        if (all.every((one) => one.content)) return;
      }
      assert.fail("it does not settle");
    },
  };
}

test("three pods become one set with its users, and stay so", (t) => {
  const three = pods(t, 3);
  three.settle();
  const { config, users, initiations } = three.world();
  assert.deepEqual(config.members.map((member) => member.host), [0, 1, 2].map(hostOf));
  assert.deepEqual(Object.keys(users), ["root", "darda"]);
  assert.deepEqual(users.darda.roles, [{ role: "readWrite", db: "darda" }]);
  three.settle();
  three.settle();
  assert.equal(three.world().initiations, initiations);
  assert.equal(three.world().config.version, 1);
});

test("a single pod becomes a set", (t) => {
  const one = pods(t, 1);
  one.settle();
  assert.equal(one.world().config.members.length, 1);
});

test("nothing is initiated before every pod is there", (t) => {
  const three = pods(t, 3);
  three.change((world) => (world.members[hostOf(2)].up = false));
  const { content, said } = three.run(0);
  assert.ok(!content && said.includes(hostOf(2)), said);
  assert.equal(three.world().initiations, 0);
  three.change((world) => (world.members[hostOf(2)].up = true));
  three.settle();
  assert.equal(three.world().initiations, 1);
});

test("only the first pod initiates", (t) => {
  const three = pods(t, 3);
  assert.ok(!three.run(1).content);
  assert.equal(three.world().initiations, 0);
});

test("a first pod that lost its disk begins no second set", (t) => {
  const three = pods(t, 3);
  three.settle();
  three.change((world) => {
    world.members[hostOf(0)].initiated = false;
    world.primary = hostOf(1);
  });
  const { content, said } = three.run(0);
  assert.ok(!content && said.includes("taken in again"), said);
  three.change((world) => {
    for (const at of [1, 2]) world.members[hostOf(at)].up = false;
  });
  assert.ok(!three.run(0).content);
  assert.equal(three.world().initiations, 1);
});

test("it goes on where it was cut off: after the initiation, and after the first user", (t) => {
  const three = pods(t, 3);
  three.run(0);
  assert.deepEqual(Object.keys(three.world().users), []);
  three.change((world) => (world.users.root = { pwd: "root's" }));
  three.settle();
  assert.deepEqual(Object.keys(three.world().users), ["root", "darda"]);
});

test("pods that are added later join one at a time", (t) => {
  const more = pods(t, 3);
  more.settle({ replicas: 1 });
  assert.equal(more.world().config.members.length, 1);
  more.settle({ replicas: 3 });
  const { config } = more.world();
  assert.deepEqual(config.members.map((member) => member._id), [0, 1, 2]);
  assert.equal(config.version, 3);
});

test("the chat's user gets the password that the Secret has now", (t) => {
  const one = pods(t, 1);
  one.settle();
  one.settle({ password: "another" });
  assert.equal(one.world().users.darda.pwd, "another");
});

test("a mongod that is not there is waited for", (t) => {
  const one = pods(t, 1);
  one.change((world) => (world.members[hostOf(0)].up = false));
  const { content, said } = one.run(0);
  assert.ok(!content && said.includes("not there"), said);
});
