//! Notices panics of tasks, which a runtime would keep to itself.

use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    /// The panics on this thread since a watch began; `None` outside of a watch.
    static SEEN: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Collects the panics of this thread, for as long as it lives.
pub(crate) struct Watch(());

impl Watch {
    pub(crate) fn begin() -> Self {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                let taken = SEEN.try_with(|seen| {
                    let mut seen = seen.try_borrow_mut().ok()?;
                    seen.as_mut()?.push(panic.to_string());
                    Some(())
                });
                if taken.ok().flatten().is_none() {
                    before(panic);
                }
            }));
        });
        SEEN.with(|seen| *seen.borrow_mut() = Some(Vec::new()));
        Self(())
    }

    pub(crate) fn end(self) -> Vec<String> {
        SEEN.with(|seen| seen.borrow_mut().take())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_nobody_else_sees_is_noticed() {
        let watch = Watch::begin();
        let caught = std::panic::catch_unwind(|| panic!("boom"));
        assert!(caught.is_err());
        let seen = watch.end();
        assert!(seen.len() == 1 && seen[0].contains("boom"), "{seen:?}");
    }
}
