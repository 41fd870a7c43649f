//! Handshakes and bytes over pipes in memory, among ourselves and with libp2p's own Noise.

use std::{future::Future, io};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future::join};
use libp2p::noise as theirs;
use proptest::prelude::*;
use tokio::io::{DuplexStream, duplex};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use super::{cipher::Cipher, *};

type Pipe = Compat<DuplexStream>;

const SUITES: [Suite; 2] = [Suite::ChaCha20Poly1305, Suite::Aes256Gcm];

fn pipe(bytes: usize) -> (Pipe, Pipe) {
    let (a, b) = duplex(bytes);
    (a.compat(), b.compat())
}

fn key(number: u8) -> Keypair {
    Keypair::ed25519_from_bytes([number; 32]).unwrap()
}

fn config(number: u8, suite: Suite) -> Config {
    Config {
        suite,
        ..Config::new(&key(number), b"test".to_vec()).unwrap()
    }
}

type Ends = [Result<(PeerId, Secured<Pipe>), NoiseError>; 2];

async fn shake(begins: Config, answers: Config, bytes: usize) -> Ends {
    let (a, b) = pipe(bytes);
    let (a, b) = join(
        begins.upgrade_outbound(a, "/noise"),
        answers.upgrade_inbound(b, "/noise"),
    )
    .await;
    [a, b]
}

async fn secured(suites: [Suite; 2], bytes: usize) -> (Secured<Pipe>, Secured<Pipe>) {
    let [a, b] = shake(config(1, suites[0]), config(2, suites[1]), bytes).await;
    let ((to, a), (from, b)) = (a.unwrap(), b.unwrap());
    assert_eq!(to, key(2).public().to_peer_id());
    assert_eq!(from, key(1).public().to_peer_id());
    (a, b)
}

fn bytes(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

/// Sends `content` from `a` to `b` while `b` sends it back.
async fn goes_round(
    a: impl AsyncRead + AsyncWrite + Unpin,
    b: impl AsyncRead + AsyncWrite + Unpin,
    content: &[u8],
) {
    let (mut a_in, mut a_out) = a.split();
    let (mut b_in, mut b_out) = b.split();
    let send = async {
        a_out.write_all(content).await.unwrap();
        a_out.close().await.unwrap();
    };
    let echo = async {
        let mut got = Vec::new();
        b_in.read_to_end(&mut got).await.unwrap();
        b_out.write_all(&got).await.unwrap();
        b_out.close().await.unwrap();
    };
    let mut back = Vec::new();
    let receive = async { a_in.read_to_end(&mut back).await.unwrap() };
    join(send, join(echo, receive)).await;
    assert!(back == content, "{} bytes came back changed", content.len());
}

/// Around a message and around the buffers.
fn lengths() -> impl Iterator<Item = usize> {
    let edges = [
        1,
        4096 - 18,
        MESSAGE_BYTES_MAX,
        4 * MESSAGE_BYTES_MAX,
        1 << 20,
    ];
    edges.into_iter().flat_map(|at| [at - 1, at, at + 1])
}

#[tokio::test]
async fn bytes_arrive_whatever_ciphers_the_two_ends_have() {
    for begins in SUITES {
        for answers in SUITES {
            for len in lengths() {
                let (a, b) = secured([begins, answers], 64 * 1024).await;
                goes_round(a, b, &bytes(len)).await;
            }
        }
    }
}

#[tokio::test]
async fn aes_is_used_if_both_can_and_only_then() {
    let plain = bytes(1000);
    for begins in SUITES {
        for answers in SUITES {
            let (mut a, mut b) = secured([begins, answers], 4096).await;
            let both = begins == Suite::Aes256Gcm && answers == Suite::Aes256Gcm;
            let suite = if both {
                Suite::Aes256Gcm
            } else {
                Suite::ChaCha20Poly1305
            };
            assert_eq!(a.suites(), [suite; 2]);
            assert_eq!(b.suites(), [suite; 2]);
            a.write_all(&plain).await.unwrap();
            a.flush().await.unwrap();
            let mut got = vec![0; plain.len()];
            b.read_exact(&mut got).await.unwrap();
            assert_eq!(got, plain);
        }
    }
}

#[tokio::test]
async fn libp2p_understands_us_and_we_understand_libp2p() {
    for suite in SUITES {
        for len in lengths() {
            let their_config = || {
                let config = theirs::Config::new(&key(2)).unwrap();
                config.with_prologue(b"test".to_vec())
            };
            let (a, b) = pipe(64 * 1024);
            let (ours, others) = join(
                config(1, suite).upgrade_outbound(a, "/noise"),
                their_config().upgrade_inbound(b, "/noise"),
            )
            .await;
            let ((to, ours), (from, others)) = (ours.unwrap(), others.unwrap());
            assert_eq!(to, key(2).public().to_peer_id());
            assert_eq!(from, key(1).public().to_peer_id());
            goes_round(ours, others, &bytes(len)).await;

            let (a, b) = pipe(64 * 1024);
            let (others, ours) = join(
                their_config().upgrade_outbound(a, "/noise"),
                config(1, suite).upgrade_inbound(b, "/noise"),
            )
            .await;
            goes_round(others.unwrap().1, ours.unwrap().1, &bytes(len)).await;
        }
    }
}

#[tokio::test]
async fn another_prologue_is_refused() {
    let other = Config {
        prologue: b"other".to_vec(),
        ..config(2, Suite::best())
    };
    let [a, b] = shake(config(1, Suite::best()), other, 4096).await;
    assert!(matches!(
        a,
        Err(NoiseError::Handshake(snow::Error::Decrypt))
    ));
    assert!(b.is_err());
}

#[tokio::test]
async fn nobody_can_show_the_identity_of_another() {
    let honest = || config(1, Suite::best());
    let liar = || Config {
        identity: config(3, Suite::best()).identity,
        ..config(2, Suite::best())
    };
    let [a, _] = shake(honest(), liar(), 4096).await;
    assert!(matches!(a, Err(NoiseError::Signature)));
    let [_, b] = shake(liar(), honest(), 4096).await;
    assert!(matches!(b, Err(NoiseError::Signature)));
}

#[tokio::test]
async fn a_message_that_is_too_long_is_not_waited_for() {
    let (mut a, b) = pipe(4096);
    a.write_all(&[0xff; 2]).await.unwrap();
    let answered = config(1, Suite::best()).upgrade_inbound(b, "/noise").await;
    assert!(matches!(answered, Err(NoiseError::TooLong)));
}

/// What the first direction puts on the wire, and the receiver with nothing to read yet.
async fn recorded(suite: Suite, content: &[u8]) -> (Vec<u8>, Cipher) {
    let (a, b) = secured([suite; 2], 1 << 20).await;
    let (recorder, mut wire) = pipe(1 << 20);
    let mut sender = a.over(recorder);
    sender.write_all(content).await.unwrap();
    sender.close().await.unwrap();
    let mut sent = Vec::new();
    wire.read_to_end(&mut sent).await.unwrap();
    (sent, b.into_opening())
}

async fn receive(wire: &[u8], opening: Cipher) -> (Vec<u8>, io::Result<()>) {
    let unused = Cipher::new(Suite::ChaCha20Poly1305, [0; 32].into()).unwrap();
    let mut end = Secured::new(futures::io::Cursor::new(wire.to_vec()), (unused, opening));
    let (mut got, mut part) = (Vec::new(), vec![0; 700]);
    loop {
        match end.read(&mut part).await {
            Ok(0) => return (got, Ok(())),
            Ok(read) => got.extend_from_slice(&part[..read]),
            Err(error) => {
                // It stays broken.
                assert!(end.read(&mut part).await.is_err());
                return (got, Err(error));
            }
        }
    }
}

#[tokio::test]
async fn what_was_changed_cut_or_repeated_is_noticed() {
    let content = bytes(1000);
    for suite in SUITES {
        let (wire, opening) = recorded(suite, &content).await;
        assert_eq!(wire.len(), 2 + 1000 + 16);
        let (got, end) = receive(&wire, opening).await;
        assert!(end.is_ok() && got == content, "unchanged");

        for at in [0, 1, 2, 500, 1001, 1002, 1017] {
            let (mut wire, opening) = recorded(suite, &content).await;
            wire[at] ^= 1;
            let (got, end) = receive(&wire, opening).await;
            assert!(end.is_err() && got.is_empty(), "byte {at} was changed");
        }
        let (wire, opening) = recorded(suite, &content).await;
        let (got, end) = receive(&wire[..600], opening).await;
        let kind = end.unwrap_err().kind();
        assert!(kind == io::ErrorKind::UnexpectedEof && got.is_empty());

        let (wire, opening) = recorded(suite, &content).await;
        let (got, end) = receive(&[&wire[..], &wire].concat(), opening).await;
        assert!(end.is_err() && got == content, "sent twice");

        let (_, opening) = recorded(suite, &content).await;
        let (_, end) = receive(
            &[0, 15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            opening,
        )
        .await;
        assert!(end.is_err(), "shorter than a tag");
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However they are written, cut by the wire and read.
    #[test]
    fn all_bytes_arrive_in_order(
        writes in prop::collection::vec((1..300_000_usize, any::<bool>()), 1..8),
        read in 1..300_000_usize,
        wire in 1..400_000_usize,
    ) {
        run(async {
            let content = bytes(writes.iter().map(|(len, _)| len).sum());
            let (mut a, mut b) = secured([Suite::best(); 2], wire).await;
            let send = async {
                let mut rest = content.as_slice();
                for (len, flush) in &writes {
                    let (now, later) = rest.split_at(*len);
                    a.write_all(now).await.unwrap();
                    if *flush {
                        a.flush().await.unwrap();
                    }
                    rest = later;
                }
                a.close().await.unwrap();
            };
            let receive = async {
                let (mut got, mut part) = (Vec::new(), vec![0; read]);
                loop {
                    match b.read(&mut part).await.unwrap() {
                        0 => break got,
                        len => got.extend_from_slice(&part[..len]),
                    }
                }
            };
            let ((), got) = join(send, receive).await;
            assert!(got == content);
        });
    }

    /// Whatever a stranger sends first.
    #[test]
    fn garbage_ends_a_handshake(garbage in prop::collection::vec(any::<u8>(), 0..300)) {
        run(async {
            let (mut a, b) = pipe(4096);
            a.write_all(&garbage).await.unwrap();
            a.close().await.unwrap();
            let config = config(1, Suite::best());
            assert!(config.upgrade_inbound(b, "/noise").await.is_err());
        });
    }
}
