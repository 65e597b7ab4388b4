//! Darda's cache and session registry on Redis.
