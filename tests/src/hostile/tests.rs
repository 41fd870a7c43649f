use anyhow::{Context, Result, ensure};
use bao_tree::{BaoTree, BlockSize, ChunkRanges, io::sync::decode_ranges};
use futures::{AsyncReadExt, AsyncWriteExt};
use opendag_node::net::{Net, Stream, StreamProtocol};
use opendag_protocol::{
    Hash,
    limits::FRAME_BYTES_MAX,
    record::SignedRecord,
    wire::{
        BlobRange, BlobsRequest, FrameDecoder, GroupRange, RecordsRequest, RecordsResponse,
        decode_frame, encode_frame,
    },
};

use super::*;

const NETWORK: &str = "hostile-self-test";

async fn client() -> Result<Net> {
    let config = ground::config(NETWORK, [77; 32])?;
    Ok(Net::start(config).await?.0)
}

async fn ask(net: &Net, peer: &Peer, protocol: StreamProtocol, frame: Vec<u8>) -> Result<Stream> {
    let id = net.dial(peer.address().parse()?).await?;
    let mut stream = net.open(id, protocol).await?;
    stream.write_all(&frame).await?;
    stream.flush().await?;
    Ok(stream)
}

/// Does the answer to "all of this file" decode to the file?
async fn gives(net: &Net, peer: &Peer, content: &[u8]) -> Result<bool> {
    let item = BlobRange {
        hash: Hash::of(content),
        groups: GroupRange::ALL,
    };
    let items = vec![item.into()].try_into()?;
    let mut stream = ask(
        net,
        peer,
        StreamProtocol::Blobs,
        encode_frame(&BlobsRequest { items })?,
    )
    .await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let Some((head, encoded)) = answer.split_at_checked(10) else {
        return Ok(false);
    };
    if head[..2] != [0, 0] {
        return Ok(false);
    }
    let size = u64::from_le_bytes(head[2..].try_into()?);
    if size != u64::try_from(content.len())? {
        return Ok(false);
    }
    let tree = BaoTree::new(size, BlockSize::from_chunk_log(4));
    let root = blake3::hash(content);
    let mut outboard = bao_tree::io::outboard::EmptyOutboard {
        tree,
        root: (*root.as_bytes()).into(),
    };
    let mut decoded = vec![0; content.len()];
    let done = decode_ranges(
        encoded,
        &ChunkRanges::all(),
        &mut decoded[..],
        &mut outboard,
    );
    Ok(done.is_ok() && decoded == content)
}

#[test]
fn an_honest_actor_serves_records_and_bytes_and_a_liar_does_not() -> Result<()> {
    let content: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let files: Files = [("x".to_owned(), content.clone())].into();
    let version = Author::new(3, "self-test")?.version(0, None, &files)?;
    let peer = |seed, conduct| Peer::start(NETWORK, seed, Library::from(version.clone()), conduct);
    let runtime = tokio::runtime::Runtime::new()?;
    let net = runtime.block_on(client())?;

    let honest = peer(4, Conduct::Honest)?;
    runtime.block_on(async {
        let request = encode_frame(&RecordsRequest::Dataset {
            dataset: version.dataset,
        })?;
        let mut stream = ask(&net, &honest, StreamProtocol::Records, request).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let (mut decoder, mut rest) = (FrameDecoder::new(), answer.as_slice());
        for _ in 0..3 {
            let frame = decoder.next_frame(&mut rest)?.context("a frame")?;
            ensure!(frame.len() <= FRAME_BYTES_MAX);
            let RecordsResponse::Record(bytes) = decode_frame(&frame)? else {
                anyhow::bail!("no record")
            };
            SignedRecord::decode(&bytes)?;
        }
        ensure!(
            gives(&net, &honest, &content).await?,
            "the honest actor is not honest"
        );
        anyhow::Ok(())
    })?;
    for (seed, conduct) in [
        (5, Conduct::WrongFirst),
        (6, Conduct::WrongMiddle),
        (7, Conduct::WrongLast),
        (8, Conduct::WrongLength),
        (10, Conduct::Nothing),
    ] {
        let liar = peer(seed, conduct)?;
        ensure!(
            !runtime.block_on(gives(&net, &liar, &content))?,
            "{conduct:?} told the truth"
        );
        ensure!(liar.counts().asked() == 1);
    }
    runtime.block_on(net.shutdown());
    Ok(())
}
