//! The client: starts the process without privilege, and has one function for each call.

use std::{
    collections::HashMap,
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

use aop_api::SslMode;
use aop_config::{ApiUrl, Config, Host, SiteConfig};
use aop_sandbox::{Launcher, NameLookup, ProcessRole, SandboxedProcess};

use crate::{
    ApiError, ApiToken, AssociationChange, Call, CertificateAndKey, CertificateId,
    CertificateLevel, HostAssociation, LeafFacts, LeafVerdict, RefusalCure, TokenStatus,
    UploadedCertificate, Zone, ZoneId,
    answer::Answer,
    error::WhyText,
    judge::JudgeRequest,
    pace::Pace,
    process::{self, ProcessReply, ProcessRequest},
    roll::KnownAssociations,
};

/// The longest time that this waits by itself because Cloudflare asks for it.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// The number of such waits in one call.
const MAX_WAITS: usize = 3;
/// More pages than any zone has certificates.
const MAX_PAGES: u32 = 100;

/// A client of the API. The process that it starts dies with the thread that started it, and looks
/// up the API's name with the resolver of its start: a client is for one task, not for days.
#[derive(Debug)]
pub struct Client {
    _process: SandboxedProcess,
    channel: UnixStream,
    pace: Pace,
    /// The names of zones that were asked for.
    zones: HashMap<Host, Option<Zone>>,
    pub(crate) associations: Option<KnownAssociations>,
}

impl Client {
    /// Starts the process, and gives it the token.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn start(launcher: &Launcher, api: &ApiUrl, token: ApiToken) -> Result<Self, ApiError> {
        let (process, channel) = launcher
            .launch(ProcessRole::AskCloudflare, NameLookup::AtStart)
            .map_err(ApiError::process)?;
        let client = Self {
            _process: process,
            channel,
            pace: Pace::default(),
            zones: HashMap::new(),
            associations: None,
        };
        let open = ProcessRequest::Open { api: api.as_str().to_owned(), token };
        let opened = process::ask(&client.channel, &open).map_err(ApiError::process)?;
        if matches!(opened, ProcessReply::Opened) { Ok(client) } else { Err(broken(&opened)) }
    }

    /// Whether the token is active. Cloudflare does not tell its permissions. A token of an account
    /// may be refused here and valid everywhere else.
    ///
    /// # Errors
    /// As each call.
    pub fn token(&mut self) -> Result<TokenStatus, ApiError> {
        let Answer::Token(status) = self.call(&Call::VerifyToken)? else {
            return Err(unexpected());
        };
        Ok(status)
    }

    /// The zone of `host`: its name is the host, or the host without some of its first labels.
    ///
    /// # Errors
    /// [`ApiError::NoZone`] if the token sees no such zone; otherwise as each call.
    pub fn find_zone(&mut self, host: &Host) -> Result<Zone, ApiError> {
        let names = zone_names(host);
        for name in &names {
            let zone = match self.zones.get(name) {
                Some(known) => known.clone(),
                None => {
                    let call = Call::Zones { name: name.clone() };
                    let Answer::Zones(zones) = self.call(&call)? else { return Err(unexpected()) };
                    // Only an exact match: the API can also search for parts of names.
                    zones.into_iter().find(|it| it.name == name.as_str())
                }
            };
            self.zones.insert(name.clone(), zone.clone());
            if let Some(zone) = zone {
                return Ok(zone);
            }
        }
        let tried = names.iter().map(|name| WhyText::new(name.as_str())).collect();
        Err(ApiError::NoZone { host: WhyText::new(host.as_str()), tried })
    }

    /// The SSL mode of the zone.
    ///
    /// # Errors
    /// As each call.
    pub fn ssl_mode(&mut self, zone: &ZoneId) -> Result<SslMode, ApiError> {
        let Answer::SslMode(mode) = self.call(&Call::SslMode { zone: zone.clone() })? else {
            return Err(unexpected());
        };
        Ok(mode)
    }

    /// Whether Cloudflare presents its global certificate.
    ///
    /// # Errors
    /// As each call.
    pub fn global_switch(&mut self, zone: &ZoneId) -> Result<bool, ApiError> {
        self.switch(&Call::GlobalSwitch { zone: zone.clone() })
    }

    /// Switches that, and returns the new state.
    ///
    /// # Errors
    /// As each call that changes something.
    pub fn set_global(&mut self, zone: &ZoneId, on: bool) -> Result<bool, ApiError> {
        self.switch(&Call::SetGlobal { zone: zone.clone(), on })
    }

    /// Whether Cloudflare presents the certificate of the zone.
    ///
    /// # Errors
    /// As each call.
    pub fn zone_switch(&mut self, zone: &ZoneId) -> Result<bool, ApiError> {
        self.switch(&Call::ZoneSwitch { zone: zone.clone() })
    }

    /// Switches that, and returns the new state.
    ///
    /// # Errors
    /// As each call that changes something.
    pub fn set_zone(&mut self, zone: &ZoneId, on: bool) -> Result<bool, ApiError> {
        self.switch(&Call::SetZone { zone: zone.clone(), on })
    }

    /// All certificates of a level, from all pages, each once.
    ///
    /// # Errors
    /// As each call.
    pub fn certificates(
        &mut self,
        zone: &ZoneId,
        level: CertificateLevel,
    ) -> Result<Vec<UploadedCertificate>, ApiError> {
        let mut all: Vec<UploadedCertificate> = Vec::new();
        for number in 1..=MAX_PAGES {
            let call = Call::Certificates { zone: zone.clone(), level, page: number };
            let Answer::Certificates { page, more } = self.call(&call)? else {
                return Err(unexpected());
            };
            // A certificate that was added meanwhile moves another to the next page.
            let is_new = |it: &UploadedCertificate| !all.iter().any(|had| had.id == it.id);
            let new: Vec<_> = page.into_iter().filter(is_new).collect();
            all.extend(new);
            if !more {
                return Ok(all);
            }
        }
        let call = Call::Certificates { zone: zone.clone(), level, page: MAX_PAGES };
        Err(ApiError::unreadable(&call, "the list does not end"))
    }

    /// One certificate; `None` if Cloudflare does not know it (any more).
    ///
    /// # Errors
    /// As each call.
    pub fn certificate(
        &mut self,
        zone: &ZoneId,
        level: CertificateLevel,
        id: &CertificateId,
    ) -> Result<Option<UploadedCertificate>, ApiError> {
        match self.call(&Call::Certificate { zone: zone.clone(), level, id: id.clone() }) {
            Ok(Answer::Certificate(certificate)) => Ok(Some(*certificate)),
            Ok(_) => Err(unexpected()),
            Err(error) if error.is_gone() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Uploads a certificate with its key.
    ///
    /// # Errors
    /// As each call that changes something.
    pub fn upload(
        &mut self,
        zone: &ZoneId,
        level: CertificateLevel,
        pair: CertificateAndKey,
    ) -> Result<UploadedCertificate, ApiError> {
        let Answer::Certificate(certificate) =
            self.call(&Call::Upload { zone: zone.clone(), level, pair })?
        else {
            return Err(unexpected());
        };
        Ok(*certificate)
    }

    /// Deletes a certificate. One that is gone already is no error.
    ///
    /// # Errors
    /// As each call that changes something.
    pub fn delete(
        &mut self,
        zone: &ZoneId,
        level: CertificateLevel,
        id: &CertificateId,
    ) -> Result<(), ApiError> {
        match self.call(&Call::Delete { zone: zone.clone(), level, id: id.clone() }) {
            Ok(Answer::Done) => Ok(()),
            Ok(_) => Err(unexpected()),
            Err(error) if error.is_gone() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Associates hosts with certificates of the host level, or ends that.
    ///
    /// # Errors
    /// As each call that changes something.
    pub fn associate(
        &mut self,
        zone: &ZoneId,
        hosts: Vec<AssociationChange>,
    ) -> Result<(), ApiError> {
        self.associations = None;
        let Answer::Done = self.call(&Call::Associate { zone: zone.clone(), hosts })? else {
            return Err(unexpected());
        };
        Ok(())
    }

    /// The association of a host; `None` if it has none.
    ///
    /// # Errors
    /// As each call.
    pub fn association(
        &mut self,
        zone: &ZoneId,
        host: &Host,
    ) -> Result<Option<HostAssociation>, ApiError> {
        let Answer::Association(association) =
            self.call(&Call::Association { zone: zone.clone(), host: host.clone() })?
        else {
            return Err(unexpected());
        };
        Ok(association)
    }

    /// Whether `site` of `config`, whose text is `text`, would accept these certificates: one
    /// verdict for each. Asks nobody.
    ///
    /// # Errors
    /// The process broke.
    pub fn judge(
        &mut self,
        config: &Config,
        text: &str,
        site: &SiteConfig,
        leaves: Vec<LeafFacts>,
    ) -> Result<Vec<LeafVerdict>, ApiError> {
        let count = leaves.len();
        let request = match JudgeRequest::new(config, text, site, leaves) {
            Ok(request) => ProcessRequest::Judge(request),
            Err(why) => return Ok(vec![LeafVerdict::NoRules(why); count]),
        };
        let reply = process::ask(&self.channel, &request).map_err(ApiError::process)?;
        let ProcessReply::Verdicts(verdicts) = reply else { return Err(broken(&reply)) };
        if verdicts.len() == count { Ok(verdicts) } else { Err(unexpected()) }
    }

    fn switch(&mut self, call: &Call) -> Result<bool, ApiError> {
        let Answer::Switch(on) = self.call(call)? else {
            return Err(unexpected());
        };
        Ok(on)
    }

    /// Makes a call. Waits where Cloudflare asks for a pause of at most a minute; that refused call
    /// changed nothing. A refusal of the token is looked into, so that the error can tell a wrong
    /// token from one with too narrow a scope.
    fn call(&mut self, call: &Call) -> Result<Answer, ApiError> {
        let mut answer = self.call_once(call);
        for _ in 0..MAX_WAITS {
            match answer {
                Err(ApiError::RateLimited { retry_after, .. })
                    if Duration::from_secs(retry_after) <= MAX_WAIT =>
                {
                    thread::sleep(Duration::from_secs(retry_after));
                    answer = self.call_once(call);
                }
                other => return self.explained(call, other),
            }
        }
        self.explained(call, answer)
    }

    fn explained(
        &mut self,
        call: &Call,
        answer: Result<Answer, ApiError>,
    ) -> Result<Answer, ApiError> {
        match answer {
            Err(ApiError::Refused { call: text, status, messages, cure: RefusalCure::Token }) => {
                let itself = *call == Call::VerifyToken;
                let verified = (!itself).then(|| self.call_once(&Call::VerifyToken));
                let cure = match verified {
                    Some(Ok(Answer::Token(token))) if token.status == "active" => {
                        RefusalCure::NarrowToken
                    }
                    None | Some(Ok(_)) | Some(Err(ApiError::Refused { .. })) => {
                        RefusalCure::WrongToken
                    }
                    Some(Err(_)) => RefusalCure::Token,
                };
                Err(ApiError::Refused { call: text, status, messages, cure })
            }
            other => other,
        }
    }

    fn call_once(&mut self, call: &Call) -> Result<Answer, ApiError> {
        thread::sleep(self.pace.wait(Instant::now()));
        match process::ask(&self.channel, &ProcessRequest::Call(call.clone())) {
            Ok(ProcessReply::Answer(answer)) => answer,
            // The process may have sent the call before it broke.
            Ok(other) => Err(ApiError::lost(call, &broken(&other).to_string())),
            Err(error) => Err(ApiError::lost(call, &error.to_string())),
        }
    }
}

fn broken(reply: &ProcessReply) -> ApiError {
    match reply {
        ProcessReply::Failed(why) => ApiError::process(why),
        ProcessReply::Opened | ProcessReply::Answer(_) | ProcessReply::Verdicts(_) => unexpected(),
    }
}

fn unexpected() -> ApiError {
    ApiError::process("it gave the answer to another question")
}

/// The names that the zone of `host` can have, the longest first. A zone has two labels or more.
fn zone_names(host: &Host) -> Vec<Host> {
    let names = std::iter::successors(Some(host.clone()), Host::parent);
    names.filter(|name| name.parent().is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_of_a_host_is_searched_by_walking_up_its_labels() {
        let names = |host: &str| -> Vec<String> {
            let host = host.parse().expect("a host");
            zone_names(&host).iter().map(Host::to_string).collect()
        };
        assert_eq!(names("a.b.example.com"), ["a.b.example.com", "b.example.com", "example.com"]);
        assert_eq!(names("example.com"), ["example.com"]);
        assert!(names("localhost").is_empty());
    }
}
