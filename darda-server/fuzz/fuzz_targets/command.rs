//! The decoder of commands: whatever a client sends, it answers, and what it answers can be sent.

#![no_main]

use darda_server::wire;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match wire::decode(text) {
        Ok(request) => assert!(request.id <= wire::MAX_SAFE_INTEGER),
        Err(error) => {
            let mut out = Vec::new();
            wire::failed(&mut out, error.id, &error.failure);
            assert!(out.len() < 4096, "an error longer than what any client needs to know");
        }
    }
});
