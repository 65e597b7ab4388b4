//! The scripts. Each is sent by its hash; a server that does not know it is given its text.

use redis::Script;

macro_rules! script {
    ($flags:literal, $($file:literal),+) => {
        Script::new(concat!($flags, $(include_str!(concat!("scripts/", $file, ".lua")), "\n"),+))
    };
}

/// All scripts of this crate.
///
/// Those that free memory, or that need little and must not fail for it, may run while the server is
/// out of memory (`allow-oom`). Those without flags fail at their first write then, before anything
/// was changed: repeats are still answered.
pub(crate) struct Scripts {
    pub(crate) append: Script,
    pub(crate) raise: Script,
    pub(crate) epochs: Script,
    pub(crate) recent: Script,
    pub(crate) find: Script,
    pub(crate) changes: Script,
    pub(crate) heads: Script,
    pub(crate) settle: Script,
    pub(crate) withdraw: Script,
    pub(crate) overdue: Script,
    pub(crate) claim: Script,
    pub(crate) lease: Script,
    pub(crate) node: Script,
    pub(crate) register: Script,
    pub(crate) unregister: Script,
    pub(crate) sweep: Script,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            append: script!("", "incarnation", "beginning", "append"),
            raise: script!(
                "#!lua flags=allow-oom\n",
                "incarnation",
                "beginning",
                "raise"
            ),
            epochs: script!("#!lua flags=no-writes\n", "incarnation", "epochs"),
            recent: script!("#!lua flags=no-writes\n", "incarnation", "recent"),
            find: script!("#!lua flags=no-writes\n", "incarnation", "find"),
            changes: script!("#!lua flags=no-writes\n", "incarnation", "changes"),
            heads: script!("#!lua flags=no-writes\n", "incarnation", "heads"),
            settle: script!(
                "#!lua flags=allow-oom\n",
                "incarnation",
                "beginning",
                "withdrawal",
                "settle"
            ),
            withdraw: script!(
                "#!lua flags=allow-oom\n",
                "incarnation",
                "beginning",
                "withdrawal",
                "withdraw"
            ),
            overdue: script!("#!lua flags=no-writes\n", "overdue"),
            claim: script!("#!lua flags=allow-oom\n", "claim"),
            lease: script!("#!lua flags=allow-oom\n", "lease"),
            node: script!("#!lua flags=no-writes\n", "node"),
            register: script!("", "register"),
            unregister: script!("#!lua flags=allow-oom\n", "unregister"),
            sweep: script!("#!lua flags=allow-oom\n", "sweep"),
        }
    }

    pub(crate) fn all(&self) -> [&Script; 16] {
        [
            &self.append,
            &self.raise,
            &self.epochs,
            &self.recent,
            &self.find,
            &self.changes,
            &self.heads,
            &self.settle,
            &self.withdraw,
            &self.overdue,
            &self.claim,
            &self.lease,
            &self.node,
            &self.register,
            &self.unregister,
            &self.sweep,
        ]
    }
}

impl std::fmt::Debug for Scripts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripts").finish_non_exhaustive()
    }
}
