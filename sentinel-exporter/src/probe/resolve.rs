//! Addresses of a name, asked of the system's resolver at each probe.

use std::future::Future;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A look-up under way.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;

/// Looks up the addresses of names. The guard judges every address that a resolver gives, and only judged ones are dialled.
///
/// ```
/// use sentinel_exporter::probe::{Resolve, Resolving};
/// use std::net::{IpAddr, Ipv4Addr};
///
/// struct Fixed;
///
/// impl Resolve for Fixed {
///     fn resolve<'a>(&'a self, _host: &'a str) -> Resolving<'a> {
///         Box::pin(async { Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]) })
///     }
/// }
/// let _resolver: std::sync::Arc<dyn Resolve> = std::sync::Arc::new(Fixed);
/// ```
pub trait Resolve: Send + Sync {
    /// The addresses of a host, in the order in which to try them. The future must not block the thread, and may be dropped
    /// at any time.
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a>;
}

/// Look-ups at a time. A thread in the system's resolver cannot be stopped, so names without an answer would add up.
const MAX_LOOKUPS: usize = 32;

/// The system's resolver, with its hosts file and its search domains.
#[derive(Debug)]
pub(super) struct SystemResolver(Arc<Semaphore>);

impl Default for SystemResolver {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_LOOKUPS)))
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a> {
        Box::pin(async move {
            let place = Arc::clone(&self.0).acquire_owned().await.map_err(io::Error::other)?;
            let host = host.to_owned();
            let found = tokio::task::spawn_blocking(move || {
                // The permit is given back when the look-up ends, not when its future is dropped.
                let _place = place;
                (host.as_str(), 0).to_socket_addrs().map(|found| found.map(|address| address.ip()).collect())
            });
            found.await.map_err(io::Error::other)?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[test]
    fn look_ups_wait_for_a_place() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let system = SystemResolver::default();
            let taken = Arc::clone(&system.0).try_acquire_many_owned(MAX_LOOKUPS as u32).unwrap();
            assert!(timeout(Duration::from_millis(100), system.resolve("127.1")).await.is_err());
            drop(taken);
            assert_eq!(system.resolve("127.1").await.unwrap(), [IpAddr::from([127, 0, 0, 1])]);
            assert_eq!(system.0.available_permits(), MAX_LOOKUPS);
        });
    }
}
