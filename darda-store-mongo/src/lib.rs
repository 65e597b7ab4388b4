//! Darda's store on MongoDB.
