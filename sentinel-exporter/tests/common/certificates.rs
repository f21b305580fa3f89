//! Certificates, good and bad, and servers that show them.

use super::server::{Request, Server, Wire};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

/// The certificate authority of a test.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    dir: TempDir,
}

/// A certificate with its key.
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
    pem: String,
    key_pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let dir = tempfile::tempdir().unwrap();
        // Each has a name of its own.
        params.distinguished_name.push(DnType::CommonName, dir.path().display().to_string());
        std::fs::write(dir.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), dir }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// For this name, from and until these years.
    pub(crate) fn issue(&self, name: &str, from: i32, until: i32) -> Identity {
        let (params, key) = leaf(name, from, until);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity::new(&certificate, &key)
    }

    /// For this name, changed as the test says.
    pub(crate) fn issue_with(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let (mut params, key) = leaf(name, 2020, 2099);
        change(&mut params);
        Identity::new(&params.signed_by(&key, &self.issuer).unwrap(), &key)
    }

    /// Files for a server that is no part of this process: certificate and key.
    pub(crate) fn files(&self, identity: &Identity) -> (PathBuf, PathBuf) {
        let (certificate, key) = (self.dir.path().join("server.pem"), self.dir.path().join("key.pem"));
        std::fs::write(&certificate, &identity.pem).unwrap();
        std::fs::write(&key, &identity.key_pem).unwrap();
        (certificate, key)
    }
}

fn leaf(name: &str, from: i32, until: i32) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(until, 1, 1));
    (params, KeyPair::generate().unwrap())
}

impl Identity {
    fn new(certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        let (pem, key_pem) = (certificate.pem(), key.serialize_pem());
        Self { certificate: certificate.der().clone(), key: key.serialize_der(), pem, key_pem }
    }

    /// Issued by itself.
    pub(crate) fn of_its_own(name: &str) -> Self {
        let (params, key) = leaf(name, 2020, 2099);
        Self::new(&params.self_signed(&key).unwrap(), &key)
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        Arc::new(config.with_no_client_auth().with_single_cert(vec![self.certificate.clone()], key).unwrap())
    }

    /// A server that shows it.
    pub(crate) fn server(&self, answer: impl Fn(&Request, &mut dyn Wire) + Send + Sync + 'static) -> Server {
        let config = self.config();
        let wrap = move |stream: TcpStream, play: &mut dyn FnMut(&mut dyn Wire)| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut tls = StreamOwned::new(connection, stream);
            play(&mut tls);
            tls.conn.send_close_notify();
            let _ = std::io::Write::flush(&mut tls);
        };
        Server::wrapped(wrap, answer)
    }
}
