//! Claims about the harness: without aop every host reaches the origin, so refusals in other tests
//! are caused by aop. Nothing is left of a lab.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use aop_tests::pull::TlsVersion;
use aop_tests::{Child, IpVersion, Lab, Pull, PullOutcome, TestUpstream, wait};

use crate::stage::{SOON, in_lab};

#[test]
fn without_aop_edge_and_stranger_both_reach_the_origin() {
    in_lab(|lab| {
        let mut upstream = TestUpstream::listening(lab, "[::]:80")?;
        for family in IpVersion::BOTH {
            for netns in [lab.edge(), lab.stranger()] {
                let pull = Pull::bare(lab, netns, family).plain().port(80).path("/hello");
                let outcome = pull.send()?;
                ensure!(outcome.served(), "{} over {family}: {outcome}", netns.name());
                ensure!(outcome.body() == b"the upstream answers /hello\n");
            }
        }
        let peers: Vec<String> = upstream.connections()?.into_iter().map(|one| one.peer).collect();
        let stranger = lab.stranger_address(IpVersion::V6).to_string();
        ensure!(peers.len() == 4 && peers.iter().any(|peer| peer.contains(&stranger)), "{peers:?}");

        upstream.stop();
        let outcome = Pull::bare(lab, lab.edge(), IpVersion::V4).plain().port(80).send()?;
        ensure!(
            matches!(outcome, PullOutcome::Other(_)),
            "a closed port is not silence: {outcome}"
        );
        Ok(())
    });
}

#[test]
fn a_pull_comes_from_the_chosen_source_address() {
    in_lab(|lab| {
        let upstream = TestUpstream::listening(lab, "[::]:80")?;
        for family in IpVersion::BOTH {
            let from = lab.neighbour_address(family);
            let pull = Pull::bare(lab, lab.edge(), family).plain().port(80);
            pull.clone().source(from).must_be_served()?;
            pull.must_be_served()?;
            let seen = upstream.connections()?;
            let [.., neighbour, usual] = &seen[..] else { anyhow::bail!("{seen:?}") };
            ensure!(neighbour.peer.contains(&from.to_string()), "{neighbour:?}");
            ensure!(usual.peer.contains(&lab.edge_address(family).to_string()), "{usual:?}");
        }
        Ok(())
    });
}

/// Tests certificates and outcomes with a TLS server that is not aop.
#[test]
fn openssl_accepts_the_certificate_of_the_edge_and_refuses_the_bad_ones() {
    in_lab(|lab| {
        let pki = &lab.pki;
        let line = ["openssl", "s_server", "-accept", "443", "-www", "-Verify", "2"];
        let mut line: Vec<PathBuf> = line.iter().map(PathBuf::from).collect();
        line.extend(["-verify_return_error".into(), "-CAfile".into(), pki.client_ca.clone()]);
        line.extend(["-cert".into(), pki.server.certificate.clone()]);
        line.extend(["-key".into(), pki.server.key.clone()]);
        let _server = Child::serve(lab.origin(), &line, &lab.dir().join("openssl.log"))?;
        for (tls, family) in TlsVersion::BOTH.into_iter().zip(IpVersion::BOTH) {
            let pull = Pull::by_edge(lab, family).tls(tls);
            wait::until("openssl serves", SOON, || pull.send().ok().filter(PullOutcome::served))?;
            let chain = pull.clone().certificate(&pki.edge_by_intermediate).send()?;
            ensure!(chain.served(), "{chain}");
            for bad in [&pki.foreign, &pki.namesake, &pki.wrong_usage, &pki.expired] {
                let outcome = pull.clone().certificate(bad).send()?;
                ensure!(outcome.refused(), "{bad:?} over {tls:?}: {outcome}");
            }
            pull.no_certificate().must_be_refused()?;
        }
        Ok(())
    });
}

#[test]
fn two_labs_are_isolated_and_leave_nothing_behind() {
    in_lab(|lab| {
        let other = Lab::new()?;
        let _upstream = TestUpstream::listening(&other, "[::]:80")?;
        let outcome = Pull::bare(lab, lab.edge(), IpVersion::V4).plain().port(80).send()?;
        ensure!(!outcome.served(), "{outcome}");
        let remains = [Path::new("/run/netns").join(other.origin().name()), other.dir().to_owned()];
        ensure!(remains.iter().all(|path| path.exists()));
        drop(other);
        ensure!(!remains.iter().any(|path| path.exists()), "left behind: {remains:?}");
        Ok(())
    });
}

#[test]
fn a_new_lab_removes_the_lab_of_a_dead_process() {
    in_lab(|_| {
        // No process has this number: the limit of the kernel is 2^22.
        let dir = std::env::temp_dir().join("aop-lab-99999999-0");
        std::fs::create_dir_all(&dir)?;
        let _next = Lab::new()?;
        ensure!(!dir.exists());
        Ok(())
    });
}

/// A failed assertion must not leave a lab behind.
#[test]
fn a_panic_removes_the_lab() {
    in_lab(|_| {
        let dir = std::sync::Mutex::new(None);
        let caught = std::panic::catch_unwind(|| -> Result<()> {
            let lab = Lab::new()?;
            *dir.lock().expect("not poisoned") = Some(lab.dir().to_owned());
            panic!("as a failed assertion does");
        });
        ensure!(caught.is_err());
        let dir = dir.into_inner()?;
        ensure!(dir.is_some_and(|dir| !dir.exists()));
        Ok(())
    });
}
