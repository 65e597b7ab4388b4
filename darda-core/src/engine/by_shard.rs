//! Questions to the cache about many entries. Where one of its servers is away, only what is there goes
//! without an answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;

use super::node::Node;
use crate::error::Result;
use crate::model::Entry;

/// An entry, with the number that its answer bears.
type Asked = (usize, Arc<Entry>);
type Answers<T> = Vec<(usize, Result<T>)>;

impl Node {
    /// Asks about all together; if that fails, about those of each shard, and of a shard whose answer is
    /// final about each.
    pub(super) async fn ask_cache<T, F>(
        &self,
        entries: Vec<Asked>,
        ask: impl Fn(Vec<Arc<Entry>>) -> F,
    ) -> Answers<T>
    where
        F: Future<Output = Result<Vec<T>>>,
    {
        match self.ask_together(&entries, &ask).await {
            Ok(answers) => return answers,
            Err(error) => tracing::debug!(%error, "the cache is asked by shard"),
        }
        let mut shards: BTreeMap<u16, Vec<Asked>> = BTreeMap::new();
        for asked in entries {
            let shard = asked.1.conversation.shard();
            shards.entry(shard).or_default().push(asked);
        }
        // All at a time, as the cache itself does: one that hangs keeps nobody waiting twice.
        let shards = shards.values().map(|shard| self.ask_shard(shard, &ask));
        join_all(shards).await.into_iter().flatten().collect()
    }

    async fn ask_shard<T, F>(
        &self,
        entries: &[Asked],
        ask: &impl Fn(Vec<Arc<Entry>>) -> F,
    ) -> Answers<T>
    where
        F: Future<Output = Result<Vec<T>>>,
    {
        let error = match self.ask_together(entries, ask).await {
            Ok(answers) => return answers,
            Err(error) => error,
        };
        let mut answers = Vec::new();
        for one in entries {
            let answer = if error.is_transient() {
                Err(error.clone())
            } else {
                self.ask_together(std::slice::from_ref(one), ask).await
            };
            match answer {
                Ok(answer) => answers.extend(answer),
                Err(error) => answers.push((one.0, Err(error))),
            }
        }
        answers
    }

    async fn ask_together<T, F>(
        &self,
        entries: &[Asked],
        ask: &impl Fn(Vec<Arc<Entry>>) -> F,
    ) -> Result<Answers<T>>
    where
        F: Future<Output = Result<Vec<T>>>,
    {
        let asked = entries.iter().map(|(_, entry)| entry.clone()).collect();
        let answers = self.bounded(ask(asked)).await?;
        let numbers = entries.iter().map(|(number, _)| *number);
        Ok(numbers.zip(answers.into_iter().map(Ok)).collect())
    }
}
