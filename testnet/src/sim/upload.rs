//! What a node sends: one lane for each peer, served in turn, so that each gets the same share.

use std::collections::{BTreeMap, VecDeque};

use opendag_protocol::{
    fetch::{Item, RequestId},
    wire::GroupRange,
};

/// A part of an item, or the end of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) request: RequestId,
    /// `None`: the request ends here.
    pub(super) item: Option<Item>,
    /// Has it the hash that was asked for?
    pub(super) right: bool,
}

/// What one node has to send.
#[derive(Debug, Default)]
pub(super) struct Upload {
    lanes: BTreeMap<u32, VecDeque<Part>>,
    turns: VecDeque<u32>,
    /// Is a part on its way out?
    pub(super) sending: bool,
}

impl Upload {
    /// Queues the items of a request and its end.
    pub(super) fn push(&mut self, to: u32, request: RequestId, items: &[Item]) {
        let lane = self.lanes.entry(to).or_default();
        if lane.is_empty() {
            self.turns.push_back(to);
        }
        let items = items.iter().copied().map(Some);
        lane.extend(items.chain([None]).map(|item| Part {
            request,
            item,
            right: true,
        }));
    }

    /// Takes a request out.
    pub(super) fn drop_request(&mut self, to: u32, request: RequestId) {
        if let Some(lane) = self.lanes.get_mut(&to) {
            lane.retain(|part| part.request != request);
        }
    }

    /// Takes all out.
    pub(super) fn clear(&mut self) {
        self.lanes.clear();
        self.turns.clear();
    }

    /// What is sent next, and to whom; of an item at most so many groups.
    pub(super) fn next(&mut self, groups_max: u64) -> Option<(u32, Part)> {
        while let Some(to) = self.turns.pop_front() {
            let Some(lane) = self.lanes.get_mut(&to) else {
                continue;
            };
            let Some(mut part) = lane.pop_front() else {
                self.lanes.remove(&to);
                continue;
            };
            if let Some(item) = &mut part.item
                && item.groups.count > groups_max
            {
                let rest = GroupRange {
                    first: item.groups.first + groups_max,
                    count: item.groups.count - groups_max,
                };
                item.groups.count = groups_max;
                lane.push_front(Part {
                    item: Some(Item {
                        shard: item.shard,
                        groups: rest,
                    }),
                    ..part
                });
            }
            if lane.is_empty() {
                self.lanes.remove(&to);
            } else {
                self.turns.push_back(to);
            }
            return Some((to, part));
        }
        None
    }
}
