//! What a server says about itself when it is connected to.

use redis::Value;

/// The oldest that is supported.
const OLDEST: u32 = 7;

/// Logs what is wrong with servers. `answer` is that of `INFO`: of one server, or by address.
pub(crate) fn inspect(answer: &Value) {
    match answer {
        Value::Map(servers) => {
            for (_, info) in servers {
                inspect(info);
            }
        }
        Value::BulkString(bytes) => inspect_one(&String::from_utf8_lossy(bytes)),
        Value::VerbatimString { text, .. } => inspect_one(text),
        _ => {}
    }
}

fn inspect_one(info: &str) {
    let said = Said::parse(info);
    if said.major < OLDEST {
        tracing::error!(
            version = said.version,
            port = said.port,
            "this redis server is older than 7.0: its answers will be errors"
        );
    }
    if said.evicts() {
        tracing::warn!(
            policy = said.policy,
            maxmemory = said.maxmemory,
            port = said.port,
            "this redis server evicts keys when its memory is full, so that acknowledged entries \
             can be lost before they are stored: set maxmemory-policy to noeviction"
        );
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Said<'a> {
    version: &'a str,
    major: u32,
    port: &'a str,
    maxmemory: u64,
    policy: &'a str,
}

impl<'a> Said<'a> {
    fn parse(info: &'a str) -> Self {
        let field = |name: &str| {
            let lines = info.lines();
            let mut fields = lines.filter_map(|line| line.split_once(':'));
            fields
                .find(|(field, _)| *field == name)
                .map_or("", |(_, value)| value.trim())
        };
        let version = field("redis_version");
        let major = version.split('.').next().unwrap_or_default();
        Self {
            version,
            major: major.parse().unwrap_or(OLDEST),
            port: field("tcp_port"),
            maxmemory: field("maxmemory").parse().unwrap_or_default(),
            policy: field("maxmemory_policy"),
        }
    }

    fn evicts(&self) -> bool {
        self.maxmemory > 0 && !matches!(self.policy, "noeviction" | "")
    }
}

#[cfg(test)]
mod tests {
    use super::Said;

    #[test]
    fn a_server_evicts_if_it_has_a_limit_and_a_policy() {
        for (maxmemory, policy, evicts) in [
            (0, "allkeys-lru", false),
            (1, "noeviction", false),
            (1, "allkeys-lru", true),
            (1, "volatile-ttl", true),
        ] {
            let info = format!(
                "# Server\r\nredis_version:7.0.15\r\ntcp_port:1\r\n# Memory\r\n\
                 maxmemory:{maxmemory}\r\nmaxmemory_policy:{policy}\r\n"
            );
            let said = Said::parse(&info);
            assert_eq!(said.evicts(), evicts, "{maxmemory} {policy}");
            assert_eq!((said.major, said.port), (7, "1"));
        }
    }
}
