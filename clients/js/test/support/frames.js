// What a server says, for a user `alice` who talks to `bob` in `c1`.

export const message = (position, prev, fields = {}) => ({
  conversation: 'c1',
  position,
  prev,
  epoch: 0,
  entry: `e${position}`,
  sender: 'bob',
  client_id: `b${position}`,
  type: 'message',
  text: `text ${position}`,
  ...fields,
});

export const summary = (fields = {}) => ({
  conversation: 'c1',
  kind: 'direct',
  peer: 'bob',
  role: 'member',
  head: 30,
  delivered: 30,
  seen: 30,
  unread: { count: 0, more: false },
  ...fields,
});

export const entry = (it) => ({ event: 'entry', ...it });

export const ack = (position, prev, repeat = false) => ({
  entry: `e${position}`,
  position,
  prev,
  repeat,
});
