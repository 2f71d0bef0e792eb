//! The privilege and the files of daemon and terminator.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, ensure};
use aop_tests::process::TcpState;
use aop_tests::{AopToml, IpVersion, Lab, Pull, TestDaemon, child, client};

use super::{has_no_connection, has_no_privilege};
use crate::stage::{SOON, in_lab, is_guarded, on_changed_stage, on_stage, refuses_to_start};

#[test]
fn during_a_pull_the_terminator_has_no_privilege_and_the_daemon_no_connection() {
    on_stage(|stage| {
        let mut session = stage.open()?;
        let (daemon, terminator) = (stage.daemon.process()?, stage.daemon.terminator()?);
        ensure!(daemon.children()? == [terminator]);
        has_no_privilege(terminator)?;
        let sockets = terminator.tcp_sockets()?;
        let count = |state| sockets.iter().filter(|found| **found == state).count();
        ensure!(count(TcpState::LISTEN) == 2 && count(TcpState::ESTABLISHED) == 2, "{sockets:?}");
        let maps = terminator.files()?;
        let maps: Vec<_> = maps.iter().filter(|file| file.contains("bpf")).collect();
        ensure!(maps == ["anon_inode:bpf-map"; 3], "not just peers, hints, networks: {maps:?}");

        ensure!(daemon.user()? == 0 && daemon.capabilities()?.len() >= 2, "it cannot guard");
        ensure!(daemon.files()?.iter().any(|file| file.contains("bpf-prog")), "it has no program");
        has_no_connection(daemon)?;
        client::get(&mut session, "/after")?;
        // The terminator has written the peer to the map that the firewall reads.
        let peer = stage.lab.edge_address(IpVersion::V4);
        ensure!(stage.daemon.status()?.handshakes_of(peer)? == 1);
        Ok(())
    });
}

#[test]
fn the_status_shows_the_terminator_its_user_and_its_sandbox() {
    on_stage(|stage| {
        let status = stage.daemon.status()?;
        let told = &status.json()["terminator"];
        ensure!(told["user"] == "nobody" && told["answers"] == true, "{told}");
        let confinement = &told["confinement"];
        let landlock = confinement["landlock"].as_str().context("no landlock")?;
        ensure!(landlock.starts_with("abi ") && confinement["seccomp"] == "filter", "{told}");
        let screen = stage.daemon.verb(&["status"])?;
        let screen = screen.text();
        let line = format!(
            "terminator: process {}, user nobody, Landlock {landlock}, seccomp filter",
            told["pid"]
        );
        ensure!(screen.contains(&line), "{screen}");
        let other = stage.config.text() + "\n[terminator]\nuser = \"daemon\"\n";
        stage.daemon.write(&other)?;
        let said = stage.daemon.reload()?;
        ensure!(said.contains("terminator.user need a new process"), "{said}");
        Ok(())
    });
}

#[test]
fn the_terminator_runs_as_the_configured_user() {
    on_changed_stage(
        |config, _| config.user = Some("daemon"),
        |stage| {
            stage.edge_is_served()?;
            let terminator = stage.daemon.terminator()?;
            has_no_privilege(terminator)?;
            ensure!(terminator.user()? == 1, "user {}", terminator.user()?);
            Ok(())
        },
    );
}

#[test]
fn a_user_that_is_root_or_unknown_is_refused() {
    for (user, told) in [("root", "must not be"), ("no-such-user", "useradd")] {
        in_lab(|lab| {
            let mut daemon = TestDaemon::prepare(lab)?;
            daemon.write(&AopToml { user: Some(user), ..AopToml::new(lab) }.text())?;
            let check = daemon.verb(&["check"])?;
            ensure!(check.code == 1 && check.errors.contains(told), "{check:?}");
            refuses_to_start(lab, &mut daemon, &["terminator.user", user, told])
        });
    }
}

#[test]
fn the_user_of_the_terminator_can_neither_attach_nor_unload_nor_ask_the_daemon() {
    on_stage(|stage| {
        ensure!(stage.daemon.terminator()?.user()? == 65534);
        stage.daemon.use_a_copy("aop")?;
        for verb in [&["unload"][..], &["load"], &["run"], &["status"], &["prefixes", "refresh"]] {
            let tried = stage.daemon.verb_without_privilege(verb)?;
            let told = tried.errors.to_lowercase();
            let refused = ["permission", "privilege"].iter().any(|word| told.contains(word));
            ensure!(tried.code == 1 && refused, "{verb:?}: {tried:?}");
            ensure!(is_guarded(&stage.lab)?, "{verb:?} took it down");
        }
        stage.silences(&Pull::by_stranger(&stage.lab, IpVersion::V4), "unknown_source")
    });
}

/// Makes the files of the PKI readable only for root.
fn make_readable_only_for_root(lab: &Lab) -> Result<()> {
    let pki = lab.dir().join("pki");
    for entry in fs::read_dir(&pki)? {
        let path = entry?.path();
        if path.is_file() {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(fs::set_permissions(pki, fs::Permissions::from_mode(0o700))?)
}

#[test]
fn keys_that_only_root_can_read_are_used_and_reloaded() {
    on_changed_stage(
        |_, lab| make_readable_only_for_root(lab).expect("locked up"),
        |stage| {
            stage.edge_is_served()?;
            let pki = &stage.lab.pki;
            let reads = ["--reuid=65534", "--regid=65534", "--clear-groups", "cat"];
            let mut command = stage.lab.origin().command("setpriv");
            let read = command.args(reads).arg(&pki.server.key).output()?;
            ensure!(!read.status.success(), "the user nobody can read the key");
            // Another client CA proves that the terminator got the new files.
            fs::write(&pki.client_ca, fs::read(&pki.foreign_ca)?)?;
            stage.daemon.must_reload()?;
            let pull = Pull::by_edge(&stage.lab, IpVersion::V4).certificate(&pki.foreign);
            pull.must_be_served()?;
            ensure!(!Pull::by_edge(&stage.lab, IpVersion::V4).send()?.served());
            Ok(())
        },
    );
}

#[test]
fn without_a_listener_there_is_no_terminator() {
    in_lab(|lab| {
        let config = AopToml::firewall_only(lab, 443);
        let daemon = TestDaemon::start(lab, &config)?;
        ensure!(daemon.status()?.terminator()?.is_none());
        let children = daemon.process()?.children()?;
        ensure!(children.is_empty(), "{children:?}");
        ensure!(is_guarded(lab)?);
        Ok(())
    });
}

#[test]
fn an_internal_verb_on_the_command_line_is_refused_with_a_hint() {
    in_lab(|lab| {
        let daemon = TestDaemon::with_config(lab, &AopToml::new(lab))?;
        let help = daemon.verb(&["help"])?;
        let help = String::from_utf8(help.output).context("no text")?;
        for verb in ["terminate", "fetch-list", "ask-cloudflare", "talk-to-etcd"] {
            ensure!(!help.contains(verb), "{help}");
            let mut command = lab.origin().command(child::built("aop")?);
            command.arg(verb);
            let tried = child::finish(command, &[], SOON)?;
            ensure!(tried.code == 1 && tried.errors.contains("`aop run`"), "{tried:?}");
        }
        Ok(())
    });
}
