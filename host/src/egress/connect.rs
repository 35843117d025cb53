//! From an origin to a connection: resolve once, check every address, connect to an address and never to a name.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::{EgressError, Resolver, address};
use crate::grants::{Origin, OriginHost};

/// How long finding an address may take. A part of the time to connect, which is the limit that an operator sets.
const RESOLVE: Duration = Duration::from_secs(2);
/// Addresses that are tried, one after the other, all of them within the time to connect.
const TRIED: usize = 4;

/// Makes connections. Cloning is cheap.
#[derive(Clone)]
pub(super) struct Connector {
    resolve: Arc<Resolver>,
    tls: TlsConnector,
}

/// A connection, encrypted or not.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Connector {
    pub(super) fn new(resolve: Arc<Resolver>) -> Self {
        Self {
            resolve,
            tls: tls(),
        }
    }

    /// A connection to `origin`, which the caller has checked against the grants. Whoever waits bounds the time.
    pub(super) async fn connect(&self, origin: &Origin) -> Result<Box<dyn Io>, EgressError> {
        let addresses = self.addresses(origin).await?;
        let stream = reach(&addresses).await?;
        if !origin.https {
            return Ok(Box::new(stream));
        }
        let name = match &origin.host {
            OriginHost::Address(address) => ServerName::from(*address),
            OriginHost::Name(name) => ServerName::try_from(name.clone())
                .map_err(|error| EgressError::Tls(std::io::Error::other(error)))?,
        };
        let stream = self
            .tls
            .connect(name, stream)
            .await
            .map_err(EgressError::Tls)?;
        Ok(Box::new(stream))
    }

    /// The addresses that may be connected to. They are not looked up again, so an answer that changes changes nothing.
    pub(super) async fn addresses(&self, origin: &Origin) -> Result<Vec<SocketAddr>, EgressError> {
        let name = match &origin.host {
            OriginHost::Address(address) => {
                return Ok(vec![SocketAddr::new(*address, origin.port)]);
            }
            OriginHost::Name(name) => name,
        };
        let found = tokio::time::timeout(RESOLVE, (self.resolve)(name.clone(), origin.port));
        let found = found
            .await
            .map_err(|_| EgressError::DnsTimeout(name.clone()))?;
        let found =
            found.map_err(|error| EgressError::NotFound(name.clone(), error.to_string()))?;
        if found.is_empty() {
            return Err(EgressError::NotFound(
                name.clone(),
                "it has no address".to_owned(),
            ));
        }
        let good = found
            .iter()
            .filter(|found| address::permitted(origin, found.ip()))
            .take(TRIED);
        // The port is the origin's, whatever the resolver says.
        let good: Vec<_> = good
            .map(|found| SocketAddr::new(found.ip(), origin.port))
            .collect();
        if good.is_empty() {
            Err(EgressError::Prohibited(name.clone()))
        } else {
            Ok(good)
        }
    }
}

async fn reach(addresses: &[SocketAddr]) -> Result<TcpStream, EgressError> {
    let mut last = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(EgressError::Connect(last.unwrap_or_else(|| {
        std::io::ErrorKind::AddrNotAvailable.into()
    })))
}

fn tls() -> TlsConnector {
    let roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    // Fails only for a provider without the cipher suites of TLS 1.2 and 1.3; ring has them, whatever the input.
    let mut config = versions
        .expect("ring provides TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config).into()
}
