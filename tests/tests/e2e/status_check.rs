//! `aop status --check`: one line, and the exit codes of plugins of Nagios.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Result, ensure};
use aop_tests::config::PrefixesTable;
use aop_tests::{AopToml, Lab, TestDaemon};
use nix::sys::signal::Signal;

use crate::stage::{in_lab, on_changed_stage, on_stage};

/// A configuration that aop warns of nothing in: its list needs no refresh.
pub(crate) fn without_warnings(config: &mut AopToml, _: &Lab) {
    let list = ["173.245.48.0/20", "2400:cb00::/32"];
    config.prefixes = PrefixesTable::List(list.map(str::to_owned).to_vec());
}

fn check(daemon: &TestDaemon, code: i32, start: &str, word: &str) -> Result<()> {
    let told = daemon.verb(&["status", "--check"])?;
    let text = told.text();
    ensure!(told.code == code, "{told:?}");
    ensure!(text.lines().count() == 1 && text.ends_with('\n'), "{text:?}");
    ensure!(text.starts_with(start) && text.contains(word) && !text.contains('|'), "{text}");
    Ok(())
}

#[test]
fn a_healthy_daemon_is_ok_and_an_opening_is_a_warning() {
    on_changed_stage(without_warnings, |stage| {
        check(&stage.daemon, 0, "AOP OK - enforcing, up ", " connections open")?;
        stage.daemon.must_run("open --from 192.0.2.10 --for 5m")?;
        check(&stage.daemon, 1, "AOP WARNING - enforcing", "open to 192.0.2.10/32 for ")?;
        stage.daemon.must_run("open --close 192.0.2.10")?;
        check(&stage.daemon, 0, "AOP OK - ", "enforcing")
    });
}

#[test]
fn a_firewall_that_observes_is_a_warning() {
    on_changed_stage(
        |config, _| config.mode = "observe",
        |stage| check(&stage.daemon, 1, "AOP WARNING - observing", "nothing is blocked"),
    );
}

#[test]
fn no_filter_a_hanging_and_a_stopped_daemon_are_critical() {
    on_stage(|stage| {
        stage.daemon.signal(Signal::SIGSTOP)?;
        check(&stage.daemon, 2, "AOP CRITICAL - ", "has given no answer")?;
        stage.daemon.signal(Signal::SIGCONT)?;
        stage.daemon.verb(&["unload"])?.success()?;
        check(&stage.daemon, 2, "AOP CRITICAL - packets are not filtered", "`aop unload`")?;
        stage.daemon.kill();
        check(&stage.daemon, 2, "AOP CRITICAL - aop does not answer", "not running")
    });
}

#[test]
fn an_expired_client_ca_is_critical_unless_the_site_has_another() {
    on_changed_stage(without_warnings, |stage| {
        let expired = stage.lab.pki.expired_ca.clone();
        let good = std::mem::replace(&mut stage.config.site().client_ca, vec![expired]);
        stage.reload()?;
        let start = "AOP CRITICAL - site example.com: the client CA ";
        check(&stage.daemon, 2, start, "expired-ca.pem has expired")?;
        stage.config.site().client_ca.extend(good);
        stage.reload()?;
        check(&stage.daemon, 1, "AOP WARNING - enforcing", "expired-ca.pem")
    });
}

#[test]
fn a_configuration_that_is_no_toml_and_a_caller_without_privilege_are_unknown() {
    on_stage(|stage| {
        stage.daemon.use_a_copy("aop")?;
        fs::set_permissions(stage.lab.dir(), fs::Permissions::from_mode(0o755))?;
        let told = stage.daemon.verb_without_privilege(&["status", "--check"])?;
        let text = told.text();
        ensure!(told.code == 3 && text.starts_with("AOP UNKNOWN - no permission"), "{told:?}");
        ensure!(text.contains("only root may ask. Put `sudo` before the command"), "{text}");
        stage.daemon.write("[firewall")?;
        check(&stage.daemon, 3, "AOP UNKNOWN - ", "aop.toml:1")
    });
}

#[test]
fn without_anything_the_check_is_critical() {
    in_lab(|lab| {
        let daemon = TestDaemon::with_config(lab, &AopToml::new(lab))?;
        check(&daemon, 2, "AOP CRITICAL - aop does not answer", "every packet passes")
    });
}
