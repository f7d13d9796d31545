//! TLS: a secure channel inside a carrier, by rustls, which neither reads nor writes the network itself.
//!
//! Whoever dials verifies the listener's certificate and its name; there is no way around that, but any certificate can
//! be made an authority. A listener may ask dialers for certificates, too.

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Connection, Error, RootCertStore, ServerConfig,
    ServerConnection,
};
use sp_proto::PeerFault;
use thiserror::Error as ThisError;

/// Who we are and whom we trust. Certificates and keys are in PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The authorities that may have signed the peer's certificate. None: when dialling, those that the system trusts;
    /// when listening, nobody is asked for a certificate.
    pub authorities: Option<Vec<u8>>,
    /// Our certificate, followed by those between it and its authority. A listener needs one.
    pub certificate: Option<Vec<u8>>,
    /// The key of our certificate.
    pub key: Option<Vec<u8>>,
    /// The name that the listener's certificate must have, if it is not the host that is dialled.
    pub server_name: Option<String>,
}

/// Why TLS cannot be done with these options.
#[derive(Clone, Debug, PartialEq, Eq, ThisError)]
#[error("TLS: {0}")]
pub struct TlsError(String);

/// Options that have been understood, for one endpoint.
#[derive(Clone)]
pub(crate) enum Config {
    Dial(Arc<ClientConfig>, ServerName<'static>),
    Listen(Arc<ServerConfig>),
}

/// One connection's channel: bytes of the carrier on one side, of the program on the other.
#[derive(Debug)]
pub(crate) struct Session {
    connection: Connection,
    /// What is to be written to the carrier.
    pub(crate) sealed: BytesMut,
}

impl Config {
    /// For dialling `host`.
    pub(crate) fn dial(options: &TlsOptions, host: &str) -> Result<Config, TlsError> {
        let name = options.server_name.as_deref().unwrap_or(host);
        let server = ServerName::try_from(name.to_owned()).map_err(|_| {
            TlsError(format!("{name:?} is neither a name nor an address that a certificate could have"))
        })?;
        let roots = match &options.authorities {
            Some(pem) => authorities(pem)?,
            None => system_authorities()?,
        };
        let provider = provider();
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|error| TlsError(error.to_string()))?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_webpki_verifier(verifier);
        let mut config = match identity(options)? {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(unusable)?,
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        Ok(Config::Dial(Arc::new(config), server))
    }

    /// For listening.
    pub(crate) fn listen(options: &TlsOptions) -> Result<Config, TlsError> {
        let provider = provider();
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let builder = match &options.authorities {
            Some(pem) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(pem)?), provider)
                    .build()
                    .map_err(|error| TlsError(error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
            None => builder.with_no_client_auth(),
        };
        let (chain, key) =
            identity(options)?.ok_or_else(|| TlsError("a listener needs a certificate and its key".into()))?;
        let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
        config.send_tls13_tickets = 0;
        Ok(Config::Listen(Arc::new(config)))
    }

    /// A channel for a new connection.
    pub(crate) fn open(&self) -> Result<Session, PeerFault> {
        let connection = match self {
            Config::Dial(config, name) => ClientConnection::new(config.clone(), name.clone()).map(Connection::Client),
            Config::Listen(config) => ServerConnection::new(config.clone()).map(Connection::Server),
        };
        let mut connection = connection.map_err(|error| fault_of(&error))?;
        // What is written goes through in pieces that the caller bounds.
        connection.set_buffer_limit(None);
        let mut session = Session { connection, sealed: BytesMut::new() };
        session.collect();
        Ok(session)
    }
}

impl Session {
    /// Bytes came from the carrier; what they say is added to `plain`. After an error what is `sealed` tells the peer.
    pub(crate) fn read(&mut self, mut bytes: &[u8], plain: &mut BytesMut) -> Result<(), PeerFault> {
        while !bytes.is_empty() {
            // It fails only if there is no room, and what was read before has been taken.
            let Ok(count) = self.connection.read_tls(&mut bytes) else {
                return Err(PeerFault::Secure("the peer sends more than can be kept"));
            };
            let state = self.connection.process_new_packets();
            self.collect();
            let mut ready = state.map_err(|error| fault_of(&error))?.plaintext_bytes_to_read();
            while ready > 0 {
                let start = plain.len();
                plain.resize(start + ready, 0);
                let taken = self.connection.reader().read(&mut plain[start..]).unwrap_or(0);
                plain.truncate(start + taken);
                ready = if taken == 0 { 0 } else { ready - taken };
            }
            if count == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Seals what the program says. Only when [`is_open`](Session::is_open).
    pub(crate) fn write(&mut self, plain: &[u8]) {
        // It takes everything: its buffer has no limit.
        let _ = self.connection.writer().write_all(plain);
        self.collect();
    }

    /// Can something be written?
    pub(crate) fn is_open(&self) -> bool {
        !self.connection.is_handshaking()
    }

    /// Says that nothing more will come.
    pub(crate) fn close(&mut self) {
        self.connection.send_close_notify();
        self.collect();
    }

    /// The peer's own certificate, in DER, if it has shown one.
    pub(crate) fn peer_certificate(&self) -> Option<Vec<u8>> {
        self.connection.peer_certificates()?.first().map(|certificate| certificate.to_vec())
    }

    fn collect(&mut self) {
        let mut into = (&mut self.sealed).writer();
        while self.connection.wants_write() {
            // Writing to memory does not fail.
            if self.connection.write_tls(&mut into).is_err() {
                return;
            }
        }
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the key, which must not end up in a log.
        f.debug_struct("TlsOptions").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Config::Dial(..) => "Dial",
            Config::Listen(_) => "Listen",
        })
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn authorities(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| TlsError(format!("the authorities are not PEM: {error}")))?;
        roots.add(certificate).map_err(|error| TlsError(format!("an authority's certificate: {error}")))?;
    }
    if roots.is_empty() {
        return Err(TlsError("there is no certificate among the authorities".into()));
    }
    Ok(roots)
}

fn system_authorities() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(TlsError("the system trusts no authority; say which ones to trust".into()));
    }
    Ok(roots)
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity(options: &TlsOptions) -> Result<Option<Identity>, TlsError> {
    let (certificate, key) = match (&options.certificate, &options.key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return Ok(None),
        (Some(_), None) => return Err(TlsError("there is a certificate, but not its key".into())),
        (None, Some(_)) => return Err(TlsError("there is a key, but not its certificate".into())),
    };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError(format!("the certificate is not PEM: {error}")))?;
    if chain.is_empty() {
        return Err(TlsError("there is no certificate in the certificate's PEM".into()));
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| TlsError(format!("the key is not a key in PEM: {error}")))?;
    Ok(Some((chain, key)))
}

fn unusable(error: Error) -> TlsError {
    TlsError(match error {
        Error::InconsistentKeys(_) => "the key does not belong to the certificate".into(),
        other => other.to_string(),
    })
}

/// What to tell a person. Only for what a person can do something about the reason is exact.
fn fault_of(error: &Error) -> PeerFault {
    PeerFault::Secure(match error {
        Error::InvalidCertificate(why) => match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet; is the clock right?"
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its certificate is signed by no authority that we trust"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name than the one that was dialled"
            }
            CertificateError::Revoked => "its certificate has been revoked",
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "its certificate is for another purpose"
            }
            // The library has no name of its own for this; it is what `openssl req -x509` makes if nothing else is said.
            CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
                "its certificate is an authority's, which only signs others; make it with basicConstraints=CA:FALSE"
            }
            _ => "its certificate is not acceptable",
        },
        Error::NoCertificatesPresented => "it has shown no certificate, and we ask for one",
        Error::AlertReceived(alert) => match *alert {
            AlertDescription::UnknownCA => "it trusts no authority that has signed our certificate",
            AlertDescription::CertificateRequired => "it asks for a certificate, and we have none",
            AlertDescription::CertificateExpired => "it says that our certificate has expired",
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown => "it does not accept our certificate",
            AlertDescription::ProtocolVersion => "it speaks no version of TLS that we do",
            AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
                "it could not agree with us on how to encrypt"
            }
            AlertDescription::UnrecognisedName => "it does not know the name that was dialled",
            _ => "it broke off the handshake",
        },
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            "it does not speak TLS"
        }
        Error::PeerIncompatible(_) => "it could not agree with us on version or cipher",
        Error::PeerSentOversizedRecord => "it sent a record that is too large",
        Error::DecryptError => "what it sent was changed on the way",
        _ => "it broke the rules",
    })
}
