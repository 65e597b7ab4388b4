//! How an incarnation is told from the next one. The code is in `scripts/incarnation.lua`; this
//! module holds the reasoning.
//!
//! An incarnation must end whenever something may have been lost: at a restart, at the promotion of
//! a copy, at `FLUSHALL`. It is a number in a key of each shard, the *marker*, beside the
//! *replication id* (`master_replid`) of the server that made it. Every script reads both and
//! compares; where they differ, or where there is no marker, a new incarnation begins with the next
//! append.
//!
//! - **The replication id belongs to one stretch in which one process was the master.** A server
//!   draws a new one when it starts (one that it finds in its files becomes the second id, which is
//!   not compared) and whenever it is promoted, by Sentinel, by Cluster, or by `REPLICAOF NO ONE`. So
//!   after a restart the marker that came back from the append-only file or from a snapshot is not
//!   believed, although the last second of writes may be missing; and a promoted copy does not
//!   believe the marker that it was sent.
//! - **The marker lies among the data.** Whatever deletes all data deletes it too, and the next one
//!   has another number: 52 bits of a hash over the replication id, the time and the shard.
//! - **A client's knowledge is not used.** An id that a client read when it connected would be
//!   wrong for a server that was demoted and promoted again under an idle connection.
//! - **Copies do not answer.** A script that runs on a server which is no master fails as READONLY,
//!   those that only read too: a demoted server's connections may still be open, and it may know old
//!   epochs.
//!
//! `INFO replication` costs about 4 microseconds of the server's time, in each script.
//!
//! The id also changes, though nothing is lost, when a master gets its first copy ever, and an hour
//! after its last copy went away (`repl-backlog-ttl`). Entries that wait in the outbox at that moment
//! are then moved to new positions, once.
