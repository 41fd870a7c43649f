//! What happens in the simulated network, in the order of time.

use std::{cmp::Reverse, collections::BinaryHeap, rc::Rc};

use opendag_protocol::{
    fetch::{End, Holdings, RequestId},
    table::ShardIndex,
};

use super::upload::Part;

/// Something that happens. `to` is the fetcher, `from` the node that serves it.
#[derive(Debug)]
pub(super) enum Event {
    Join(u32),
    Leave(u32),
    Asked {
        from: u32,
        to: u32,
        request: RequestId,
    },
    Dropped {
        from: u32,
        to: u32,
        request: RequestId,
    },
    /// A node has sent a part and can send the next.
    Sent(u32),
    /// A part reaches the receiver's link.
    Arrive {
        from: u32,
        to: u32,
        part: Part,
    },
    /// A part is there.
    Deliver {
        to: u32,
        part: Part,
    },
    End {
        to: u32,
        request: RequestId,
        end: End,
    },
    Missing {
        to: u32,
        request: RequestId,
        shard: ShardIndex,
    },
    /// A fetcher tells what it has by now.
    Tell(u32),
    News {
        from: u32,
        to: u32,
        news: Rc<[Holdings]>,
    },
    Timer(u32),
}

#[derive(Debug)]
struct Scheduled {
    at_us: u64,
    number: u64,
    event: Event,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_us, self.number).cmp(&(other.at_us, other.number))
    }
}

/// What is going to happen.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<Scheduled>>,
    scheduled: u64,
}

impl Agenda {
    /// Of two events at one time the first that was noted happens first.
    pub(super) fn note(&mut self, at_us: u64, event: Event) {
        self.scheduled += 1;
        let number = self.scheduled;
        self.heap.push(Reverse(Scheduled {
            at_us,
            number,
            event,
        }));
    }

    /// The next event and its time.
    pub(super) fn next(&mut self) -> Option<(u64, Event)> {
        let Reverse(next) = self.heap.pop()?;
        Some((next.at_us, next.event))
    }
}
