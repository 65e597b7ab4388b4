// The Socket.IO server that `darda load --protocol socketio` speaks with: rooms, and a relay to them that
// acknowledges. It keeps nothing. Several servers find each other by Redis, if REDIS_URL names one.
//
// Usage: node socketio.js [PORT]; it prints its address when it listens.

import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';
import { Server } from 'socket.io';

const http = createServer();
const { REDIS_URL } = process.env;
// As fast as it gets: no other transports, no compression.
const options = { transports: ['websocket'], perMessageDeflate: false, serveClient: false };
if (REDIS_URL) {
  const publishing = new Redis(REDIS_URL);
  options.adapter = createAdapter(publishing, publishing.duplicate());
}

new Server(http, options).on('connection', (socket) => {
  socket.on('join', async (rooms, acknowledge) => {
    await socket.join(rooms);
    acknowledge();
  });
  socket.on('send', (room, what, acknowledge) => {
    if (!socket.rooms.has(room)) {
      acknowledge('not a member');
      return;
    }
    socket.to(room).emit('message', room, what);
    acknowledge();
  });
});

http.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${http.address().port}`);
});
