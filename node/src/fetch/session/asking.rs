//! Requests of a session: each is a task of its own, until it ends or is given up.

use std::sync::Arc;

use opendag_protocol::fetch::{End, Input, Item, PeerKey, RequestId};
use tokio::task::AbortHandle;

use super::Session;
use crate::fetch::{
    delta::{Assembly, SpanTransfer},
    request::{Request, TELL_EVERY},
    transfer::Transfer,
};

impl Session {
    pub(super) fn request(&mut self, id: RequestId, key: PeerKey, items: &[Item]) {
        let Some(peer) = self.keys.get(&key).copied() else {
            return self.handle(Input::Ended {
                request: id,
                end: End::Closed,
            });
        };
        let request = Request {
            shared: self.parts.shared.clone(),
            net: self.parts.net.clone(),
            peer,
            key,
            id,
            tell: self.tell.clone(),
            received: self.received.clone(),
            tally: self.parts.shared.metrics.transfer.tally(),
            tell_every: TELL_EVERY,
        };
        let abort = match self.parts.spans.clone() {
            Some(spans) => self.request_spans(spans, request, items),
            None => self.request_pieces(request, items),
        };
        self.requests.insert(abort.id(), (id, key));
        self.aborts.insert(id, abort);
    }

    fn request_pieces(&mut self, request: Request, items: &[Item]) -> AbortHandle {
        let writer = self.parts.writer.clone();
        let order = |item: &Item| writer.order(*item);
        let transfer = Transfer {
            request,
            orders: items.iter().filter_map(order).collect(),
            write: Arc::new(move |ready| writer.write(ready)),
        };
        self.transfers.spawn(transfer.run())
    }

    /// Asks for spans. Those of files that were given up count as here: the session is to end.
    fn request_spans(
        &mut self,
        spans: Arc<Assembly>,
        request: Request,
        items: &[Item],
    ) -> AbortHandle {
        let mut orders = Vec::new();
        for item in items {
            match spans.order(*item) {
                Some(order) => orders.push(order),
                None => self.handle(Input::Verified {
                    request: request.id,
                    shard: item.shard,
                    groups: item.groups,
                    bytes: 0,
                }),
            }
        }
        if orders.is_empty() {
            return self.transfers.spawn(async { Ok(()) });
        }
        let transfer = SpanTransfer {
            request,
            orders,
            assembly: spans,
        };
        self.transfers.spawn(transfer.run())
    }

    pub(super) fn abort(&mut self, request: RequestId) {
        if let Some(abort) = self.aborts.remove(&request) {
            self.requests.remove(&abort.id());
            abort.abort();
        }
    }

    pub(super) fn abort_all(&mut self, peer: PeerKey) {
        let of_peer: Vec<_> = self
            .requests
            .values()
            .filter(|(_, key)| *key == peer)
            .map(|(request, _)| *request)
            .collect();
        for request in of_peer {
            self.abort(request);
        }
    }
}
