//! Messages: what is accepted in a frame comes back from a frame as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendag_protocol::{
    limits::FRAME_BYTES_MAX,
    wire::{
        BlobsRequest, FRAME_PREFIX_BYTES, HoldingsRequest, HoldingsUpdate, RecordsRequest,
        RecordsResponse, SyncMessage, decode_frame, encode_frame, shards_in,
    },
};

/// Decodes as each message and encodes again.
macro_rules! round_trip {
    ($body:expr, $($message:ty),*) => {$(
        if let Ok(message) = decode_frame::<$message>($body) {
            let frame = encode_frame(&message).unwrap();
            let again = &frame[FRAME_PREFIX_BYTES..];
            assert_eq!(decode_frame::<$message>(again).unwrap(), message);
            // What is left out is what this program does not know.
            assert!(again.len() < $body.len() || again == $body, "{message:?}");
        }
    )*};
}

fuzz_target!(|body: &[u8]| {
    if body.len() > FRAME_BYTES_MAX {
        return;
    }
    round_trip!(
        body,
        RecordsRequest,
        RecordsResponse,
        HoldingsRequest,
        HoldingsUpdate,
        BlobsRequest,
        SyncMessage
    );
    match decode_frame(body) {
        Ok(HoldingsUpdate::Shards { first, bits }) => {
            let shards: Vec<_> = shards_in(first, &bits).collect();
            let again: Vec<_> = HoldingsUpdate::shards(shards.iter().copied())
                .flat_map(|update| match update {
                    HoldingsUpdate::Shards { first, bits } => {
                        shards_in(first, &bits).collect::<Vec<_>>()
                    }
                    other => panic!("{other:?} claims no shards"),
                })
                .collect();
            assert_eq!(again, shards);
        }
        Ok(HoldingsUpdate::Partial { ranges, .. }) => {
            assert!(ranges.iter().all(|range| range.first < range.end()));
        }
        Ok(_) | Err(_) => {}
    }
});
