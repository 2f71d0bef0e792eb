//! A reload applies the whole new configuration or nothing of it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aop_tests::client::{self};
use aop_tests::{IpVersion, Pull, wait};

use crate::stage::{Stage, on_changed_stage, on_stage};

/// The reload is refused with an error that contains `named`, and nothing changes.
fn is_refused(stage: &Stage, named: &str) -> Result<()> {
    let generation = stage.daemon.status()?.generation()?;
    let said = stage.daemon.reload()?;
    ensure!(said.contains("not reloaded") && said.contains(named), "{said}");
    ensure!(stage.daemon.status()?.generation()? == generation);
    let pull = Pull::by_edge(&stage.lab, IpVersion::V4).certificate(&stage.lab.pki.foreign);
    stage.refuses(&pull, "unknown_ca")?;
    stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")
}

#[test]
fn a_broken_configuration_keeps_the_old_one() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let good = stage.config.text();
        // Half of each would admit a stranger.
        let open = good.replace("extra = []", "extra = [\"198.51.100.0/24\"]");
        let broken = [
            (open.clone() + "\n[nonsense]\n", "nonsense"),
            (open.replace("mode =", "mood ="), "mood"),
            (open.replace("tcp://127.0.0.1:8080", "gopher://127.0.0.1"), "gopher"),
            (open.replace("pki/server.pem", "pki/missing.pem"), "missing.pem"),
            (open.replace("0.0.0.0:443", "0.0.0.0:444"), "listener.bind"),
        ];
        for (text, named) in broken {
            ensure!(text != good);
            stage.daemon.write(&text)?;
            is_refused(stage, named)?;
        }
        fs::remove_file(stage.daemon.config_path())?;
        is_refused(stage, "aop.toml")
    });
}

#[test]
fn a_broken_certificate_key_or_client_ca_keeps_the_old_ones() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let pki = &stage.lab.pki;
        let cut = fs::read(&pki.client_ca)?;
        let cases = [
            (&pki.client_ca, Vec::new(), "client-ca.pem"),
            (&pki.client_ca, cut[..cut.len() / 2].to_vec(), "client-ca.pem"),
            (&pki.server.certificate, b"not PEM".to_vec(), "server.pem"),
            (&pki.server.key, fs::read(&pki.edge.key)?, "server.key"),
        ];
        for (path, bad, named) in cases {
            let good = fs::read(path)?;
            fs::write(path, bad)?;
            is_refused(stage, named)?;
            fs::write(path, good)?;
        }
        stage.daemon.must_reload()?;
        Ok(())
    });
}

#[test]
fn a_new_client_ca_is_trusted_and_the_old_one_no_longer() {
    on_stage(|stage| {
        stage.edge_is_served()?;
        let pki = &stage.lab.pki;
        // A rename: the file is complete at every moment.
        let new = stage.lab.dir().join("new.pem");
        fs::copy(&pki.foreign_ca, &new)?;
        fs::rename(&new, &pki.client_ca)?;
        stage.daemon.must_reload()?;

        let pull = Pull::by_edge(&stage.lab, IpVersion::V4);
        pull.clone().certificate(&pki.foreign).must_be_served()?;
        let before = stage.snapshot()?;
        pull.must_be_refused()?;
        stage.counts_refused(&before, "unknown_ca", 1)
    });
}

#[test]
fn connections_that_rely_on_a_removed_client_ca_end_within_the_drain() {
    on_changed_stage(
        |config, _| config.drain = "2s",
        |stage| {
            let mut session = stage.connect()?;
            client::get(&mut session, "/before")?;
            // A reload of the same files cuts no connection.
            stage.daemon.must_reload()?;
            // Proves that the connection outlives the drain time.
            std::thread::sleep(Duration::from_secs(3));
            client::get(&mut session, "/between")?;

            let pki = &stage.lab.pki;
            fs::copy(&pki.foreign_ca, &pki.client_ca)?;
            stage.daemon.must_reload()?;
            client::get(&mut session, "/within")?;
            let ended = wait::until("the old connection ends", Duration::from_secs(10), || {
                client::get(&mut session, "/after").is_err().then_some(())
            });
            ended.with_context(|| stage.daemon.log())
        },
    );
}

#[test]
fn a_reload_changes_the_firewall_mode_and_cuts_no_connection() {
    on_stage(|stage| {
        let mut session = stage.connect()?;
        client::get(&mut session, "/before")?;

        stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")?;
        stage.config.mode = "observe";
        stage.reload()?;
        Pull::by_stranger(&stage.lab, IpVersion::V4).must_be_served()?;
        stage.config.mode = "enforce";
        stage.reload()?;
        stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")?;

        ensure!(client::get(&mut session, "/after")? == b"the upstream answers /after\n");
        Ok(())
    });
}
