mod breaker;
mod policy;
