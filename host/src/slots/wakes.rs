//! Tells a future that yields from one that waits: who yields has woken itself by the time its poll ends.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Looks at a future's wakes. Costs nothing until it is pending for the first time, which for most tasks is never; why it was then is
/// not known.
#[derive(Debug, Default)]
pub(super) struct Watched {
    wakes: Option<(Arc<Wakes>, Waker)>,
}

impl Watched {
    /// Polls `work`; says whether it is pending though it could go on.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        work: Pin<&mut impl Future<Output = T>>,
    ) -> (Poll<T>, bool) {
        let Some((wakes, waker)) = &self.wakes else {
            let polled = work.poll(cx);
            if polled.is_pending() {
                let wakes = Arc::new(Wakes::default());
                self.wakes = Some((wakes.clone(), wakes.into()));
            }
            return (polled, false);
        };
        wakes.to.register(cx.waker());
        wakes.woken.store(false, Ordering::Relaxed);
        let polled = work.poll(&mut Context::from_waker(waker));
        let yields = polled.is_pending() && wakes.woken.load(Ordering::Relaxed);
        (polled, yields)
    }
}

/// Notes that it was woken, and passes it on.
#[derive(Debug, Default)]
struct Wakes {
    woken: AtomicBool,
    to: AtomicWaker,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Relaxed);
        self.to.wake();
    }
}
