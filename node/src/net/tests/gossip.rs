//! Gossip.

use std::time::Duration;

use tokio::time::timeout;

use super::{TCP, addr_of, config, start, within};
use crate::net::{Inbound, Net, NetEvent, Verdict};

/// The next message, and its verdict.
async fn judge(net: &Net, inbound: &mut Inbound, verdict: Verdict) -> Vec<u8> {
    loop {
        if let NetEvent::Gossip { id, bytes, .. } = inbound.events.recv().await.expect("running") {
            net.verdict(id, verdict).await;
            return bytes;
        }
    }
}

async fn connected_to(net: &Net, inbound: &mut Inbound, peers: usize) {
    while net.peers().await.len() < peers {
        inbound.events.recv().await.expect("running");
    }
}

/// a – b – c in a row: what c gets, b has passed on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_accepted_messages_are_passed_on() {
    let (a, mut a_in) = start(config(1, &[TCP])).await;
    let (b, mut b_in) = start(config(2, &[TCP])).await;
    let (c, mut c_in) = start(config(3, &[TCP])).await;
    let addr = addr_of(&b).await;
    a.dial(addr.clone()).await.unwrap();
    c.dial(addr).await.unwrap();
    within("a connects", connected_to(&a, &mut a_in, 1)).await;
    within("c connects", connected_to(&c, &mut c_in, 1)).await;

    // The mesh between b and c takes a moment: what is passed on before that does not reach c.
    for i in 0_u8..=255 {
        a.gossip_head(vec![b'0', i]).await;
        assert_eq!(
            within("b", judge(&b, &mut b_in, Verdict::Accept)).await,
            [b'0', i]
        );
        let passed_on = judge(&c, &mut c_in, Verdict::Accept);
        if timeout(Duration::from_millis(200), passed_on).await.is_ok() {
            break;
        }
        assert!(i < 255, "c never got anything");
    }
    a.gossip_head(b"ignored".to_vec()).await;
    assert_eq!(
        within("b", judge(&b, &mut b_in, Verdict::Ignore)).await,
        b"ignored"
    );
    a.gossip_head(b"forged".to_vec()).await;
    assert_eq!(
        within("b", judge(&b, &mut b_in, Verdict::Reject)).await,
        b"forged"
    );
    // Too large: b's own part rejects it without asking.
    a.gossip_head(vec![7; 1025]).await;
    a.gossip_head(b"good 2".to_vec()).await;
    assert_eq!(
        within("b", judge(&b, &mut b_in, Verdict::Accept)).await,
        b"good 2"
    );
    // The next that c sees is the next that b accepted, but for what came late from before.
    let next = loop {
        let next = within("c", judge(&c, &mut c_in, Verdict::Accept)).await;
        if next.first() != Some(&b'0') {
            break next;
        }
    };
    assert_eq!(next, b"good 2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_message_is_shown_once() {
    let (a, _a_in) = start(config(1, &[TCP])).await;
    let (b, mut b_in) = start(config(2, &[TCP])).await;
    a.dial(addr_of(&b).await).await.unwrap();
    for _ in 0..10 {
        a.gossip_head(b"same".to_vec()).await;
    }
    a.gossip_head(b"last".to_vec()).await;
    assert_eq!(
        within("b", judge(&b, &mut b_in, Verdict::Accept)).await,
        b"same"
    );
    assert_eq!(
        within("b", judge(&b, &mut b_in, Verdict::Accept)).await,
        b"last"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forger_is_not_listened_to_any_more() {
    let (a, _a_in) = start(config(1, &[TCP])).await;
    let (b, mut b_in) = start(config(2, &[TCP])).await;
    a.dial(addr_of(&b).await).await.unwrap();
    // It waits until b has said that it listens.
    a.gossip_head(b"first".to_vec()).await;
    within("the first", judge(&b, &mut b_in, Verdict::Reject)).await;
    let mut seen = 1;
    // Three verdicts end it; the task that owns the swarm takes them in turn with what comes meanwhile.
    for i in 0..60_u8 {
        a.gossip_head(vec![b'x', i]).await;
        let next = timeout(
            Duration::from_secs(2),
            judge(&b, &mut b_in, Verdict::Reject),
        );
        match next.await {
            Ok(_) => seen += 1,
            Err(_) => break,
        }
    }
    assert!(seen < 60, "{seen} forged messages were looked at");
}
