//! Any bytes are a block or an error, with and without a right checksum; what decodes is encoded and decoded to itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sentinel_core::Block;
use sentinel_fuzz::{HEAD, sealed};

/// Checks the properties of any bytes; returns whether they are a block.
fn total(bytes: &[u8]) -> bool {
    match Block::decode(bytes) {
        Ok(block) => {
            let again = block.encode();
            // A number has one shortest form, so what is encoded is never longer than what came in.
            assert!(again.len() <= bytes.len(), "{} bytes of {}", again.len(), bytes.len());
            let same = Block::decode(&again).expect("what was encoded is decoded");
            assert_eq!(same, block);
            assert_eq!(same.encode(), again);
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let as_it_came = total(bytes);
    // The last four bytes made the checksum of what is before them.
    let fixed = bytes.len().checked_sub(4).is_some_and(|end| total(&sealed(&bytes[..end])));
    assert!(!as_it_came || fixed, "a right checksum was right");
    // And behind the magic and the version, which the fuzzer need not find.
    total(&sealed(&[&HEAD[..], bytes].concat()));
});
