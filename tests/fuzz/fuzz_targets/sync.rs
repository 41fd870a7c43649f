//! Reconciliation: two honest sides find exactly what differs, and a side survives whatever it is told.
#![no_main]

use std::{collections::BTreeSet, sync::Arc};

use libfuzzer_sys::fuzz_target;
use opendag_protocol::{
    Hash, RecordId, Timestamp,
    sync::{Item, Items, Reconcile, is_open},
    wire::{FRAME_PREFIX_BYTES, SyncMessage, decode_frame, encode_frame},
};

fuzz_target!(|input: (BTreeSet<u16>, BTreeSet<u16>, Vec<u8>)| {
    let (ours, theirs, said) = input;
    let set = |numbers: &BTreeSet<u16>| -> BTreeSet<Item> { numbers.iter().map(item).collect() };
    let (ours, theirs) = (set(&ours), set(&theirs));
    check(&ours, &theirs);
    let mut side = side(&ours);
    if let Ok(SyncMessage::Ranges(ranges)) = decode_frame(&said)
        && let Ok(answer) = side.answer(&ranges)
    {
        encode_frame(&SyncMessage::Ranges(answer)).unwrap();
        let known = |item: &Item| ours.contains(item);
        assert!(side.found().to_offer.iter().all(known));
    }
});

/// Times repeat, so that bounds lie between ids, too.
fn item(number: &u16) -> Item {
    Item {
        time: Timestamp::from_secs(u64::from(*number % 5)),
        id: RecordId::from_hash(Hash::of(&number.to_le_bytes())),
    }
}

fn side(items: &BTreeSet<Item>) -> Reconcile {
    Reconcile::new(Arc::new(Items::new(items.iter().copied().collect())))
}

fn check(ours: &BTreeSet<Item>, theirs: &BTreeSet<Item>) {
    let mut sides = [side(ours), side(theirs)];
    let mut message = sides[0].open();
    for turn in 1.. {
        if !is_open(&message) {
            break;
        }
        let frame = encode_frame(&SyncMessage::Ranges(message)).unwrap();
        let Ok(SyncMessage::Ranges(heard)) = decode_frame(&frame[FRAME_PREFIX_BYTES..]) else {
            panic!("a message comes back as it was");
        };
        message = sides[turn % 2].answer(&heard).unwrap();
    }
    let [first, second] = sides.map(Reconcile::into_found);
    for (of, other, lacking) in [
        (&first, &second, theirs.difference(ours)),
        (&second, &first, ours.difference(theirs)),
    ] {
        let offered = other.to_offer.iter().map(|item| item.id);
        let found: BTreeSet<RecordId> = of.lacking.iter().copied().chain(offered).collect();
        assert_eq!(found, lacking.map(|item| item.id).collect());
    }
}
