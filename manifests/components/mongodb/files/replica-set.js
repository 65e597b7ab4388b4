// Run by mongosh beside each mongod, again and again. Whatever it finds it brings nearer to: one
// replica set of all pods, an administrator, and the user of the chat. Nothing is typed by hand.
//
// - A set is initiated only by the first pod, and only when every other pod is there and knows of none:
//   a first pod that comes back with an empty disk is taken in again by the set that is.
// - Pods that the set does not know are added by its primary. None is ever removed.
// - The first user is made by the primary over the loopback, which MongoDB allows as long as there is
//   none; then it signs in.

/* global connect, print, process, quit */

const replicas = Number(process.env.REPLICAS);
const me = process.env.POD;
const hostOf = (at) => `mongodb-${at}.mongodb:27017`;
const hosts = Array.from({ length: replicas }, (_, at) => hostOf(at));
const [administrator, chat] = ["root", "darda"];

const ALREADY_INITIALIZED = 23;
const AUTHENTICATION_FAILED = 18;
const USER_NOT_FOUND = 11;

/** The database `admin` of one mongod, or null if that is not there. */
function reach(host) {
  try {
    return connect(`mongodb://${host}/admin?directConnection=true&serverSelectionTimeoutMS=3000`);
  } catch {
    return null;
  }
}

/** Initiates the set, if that is this pod's to do. Returns what there is to say. */
function initiate(admin) {
  if (me !== "mongodb-0") return "waiting for the replica set";
  for (const host of hosts.slice(1)) {
    const other = reach(host);
    if (!other) return `waiting for ${host}`;
    if (other.runCommand({ hello: 1 }).setName) return `waiting to be taken in again by the set of ${host}`;
  }
  try {
    const members = hosts.map((host, at) => ({ _id: at, host }));
    admin.runCommand({ replSetInitiate: { _id: "chat", members } });
  } catch (error) {
    if (error.code !== ALREADY_INITIALIZED) throw error;
  }
  return "the replica set is initiated";
}

/** Signs in as the administrator, who is made if there is no user yet. */
function signIn(admin) {
  const password = process.env.ROOT_PASSWORD;
  try {
    admin.auth(administrator, password);
  } catch (error) {
    if (error.code !== AUTHENTICATION_FAILED) throw error;
    admin.runCommand({ createUser: administrator, pwd: password, roles: ["root"] });
    admin.auth(administrator, password);
    print(`made the user ${administrator}`);
  }
}

/** Makes the chat's user, or gives it the password that the Secret has now. */
function ensureUser(admin) {
  const wanted = {
    pwd: process.env.PASSWORD,
    roles: [{ role: "readWrite", db: process.env.DATABASE }],
  };
  try {
    admin.runCommand({ updateUser: chat, ...wanted });
  } catch (error) {
    if (error.code !== USER_NOT_FOUND) throw error;
    admin.runCommand({ createUser: chat, ...wanted });
    print(`made the user ${chat}`);
  }
}

/** Adds pods that the set does not know, one at a time, as MongoDB wants it. */
function ensureMembers(admin) {
  const { config } = admin.runCommand({ replSetGetConfig: 1 });
  const missing = hosts.find((host) => !config.members.some((member) => member.host === host));
  if (!missing) return true;
  const next = Math.max(...config.members.map((member) => member._id)) + 1;
  const changed = {
    ...config,
    version: config.version + 1,
    members: [...config.members, { _id: next, host: missing }],
  };
  admin.runCommand({ replSetReconfig: changed });
  print(`added ${missing}`);
  return false;
}

/** Returns whether all is as it should be, as far as this pod can tell. */
function reconcile() {
  const admin = reach("127.0.0.1:27017");
  if (!admin) {
    print("mongod is not there yet");
    return false;
  }
  const state = admin.runCommand({ hello: 1 });
  if (!state.setName) {
    print(initiate(admin));
    return false;
  }
  if (!state.isWritablePrimary) return Boolean(state.primary);
  signIn(admin);
  ensureUser(admin);
  return ensureMembers(admin);
}

if (!reconcile()) quit(1);
