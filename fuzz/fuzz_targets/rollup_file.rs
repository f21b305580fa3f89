//! Any bytes in any file of a rollup directory: believed or skipped for a reason, and what is believed is what was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sentinel_core::Block;
use sentinel_exporter::rollup::{Kind, Name, check_block, frame, unframe};
use sentinel_fuzz::{HEAD, Input, sealed};

/// First bytes of a frame: magic and version.
const FRAME: [u8; 5] = *b"SNTX\x01";

fn judge(name: Option<Name>, bytes: &[u8]) {
    for kind in [Kind::Live, Kind::Baseline] {
        if let Ok(inside) = unframe(kind, bytes) {
            assert_eq!(frame(kind, inside), bytes, "one content has one form");
        }
    }
    let decoded = Block::decode(bytes);
    if let Ok(block) = &decoded {
        // Whatever is a block is believed under its own name, and under no other.
        let (source, from, to) = (block.source(), block.from_ms(), block.to_ms());
        assert_eq!(check_block(bytes, source, from, to), Ok(()));
        assert!(check_block(bytes, !source, from, to).is_err());
        assert!(check_block(bytes, source, from, to ^ 1).is_err());
    }
    if let Some(Name::Block { source, from_ms, to_ms }) = name
        && check_block(bytes, source, from_ms, to_ms).is_ok()
        && let Ok(block) = decoded
    {
        assert_eq!((block.source(), block.from_ms(), block.to_ms()), (source, from_ms, to_ms));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input(bytes);
    let spelled = input.bytes();
    let name = Name::parse(spelled);
    if let Some(name) = name {
        assert_eq!(name.to_string().as_bytes(), spelled, "one file has one name");
    }
    let file = input.0;
    judge(name, file);
    // With the checksum put right, and behind the heads that the fuzzer need not find.
    if let Some(end) = file.len().checked_sub(4) {
        judge(name, &sealed(&file[..end]));
    }
    judge(name, &sealed(&[&HEAD[..], file].concat()));
    judge(name, &sealed(&[&FRAME[..], file].concat()));
});
