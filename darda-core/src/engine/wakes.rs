//! Wake-ups that wait for the end of a piece of work: a session that is told much in it wakes once, finds
//! all of it, and writes it in one go.

use std::cell::RefCell;
use std::task::Waker;

thread_local! {
    static GATHERED: RefCell<Gathered> = const { RefCell::new(Gathered { works: false, wakers: Vec::new() }) };
}

/// Who is to be woken when this thread's work ends. The memory is kept for the next work.
struct Gathered {
    works: bool,
    wakers: Vec<Waker>,
}

/// Runs a piece of work that must not block. Sessions that it tells something are woken when it ends, once
/// each, however much it tells them. For work that handles what came together: a connection's frames, a
/// batch of another node's events.
pub fn wake_once<T>(work: impl FnOnce() -> T) -> T {
    let outermost =
        GATHERED.with_borrow_mut(|gathered| !std::mem::replace(&mut gathered.works, true));
    // Wakes them after a panic as well.
    let _wakes = outermost.then(|| Wakes);
    work()
}

struct Wakes;

impl Drop for Wakes {
    fn drop(&mut self) {
        let mut wakers = GATHERED.with_borrow_mut(|gathered| {
            gathered.works = false;
            std::mem::take(&mut gathered.wakers)
        });
        wakers.drain(..).for_each(Waker::wake);
        GATHERED.with_borrow_mut(|gathered| gathered.wakers = wakers);
    }
}

pub(super) fn wake(waker: Waker) {
    let at_once = GATHERED.with_borrow_mut(|gathered| {
        if gathered.works {
            gathered.wakers.push(waker);
            None
        } else {
            Some(waker)
        }
    });
    if let Some(waker) = at_once {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn woken(count: &Arc<Count>) -> usize {
        count.0.load(Ordering::Relaxed)
    }

    #[test]
    fn who_is_told_is_woken_when_the_outermost_work_ends() {
        let count = Arc::new(Count::default());
        wake_once(|| {
            wake_once(|| wake(count.clone().into()));
            wake(count.clone().into());
            assert_eq!(woken(&count), 0);
        });
        assert_eq!(woken(&count), 2);
        wake(count.clone().into());
        assert_eq!(woken(&count), 3);
    }

    #[test]
    fn a_panic_wakes_too() {
        let count = Arc::new(Count::default());
        let told = count.clone();
        let outcome = std::panic::catch_unwind(move || {
            wake_once(|| {
                wake(told.into());
                panic!("while it works");
            })
        });
        assert!(outcome.is_err());
        assert_eq!(woken(&count), 1);
        wake(count.clone().into());
        assert_eq!(woken(&count), 2);
    }
}
